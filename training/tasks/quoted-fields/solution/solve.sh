#!/bin/sh
cd /srv && sed -i 's/    return .*/    return next(csv.reader([line]))/; s/^def fields/import csv\n\n\ndef fields/' fields.py
