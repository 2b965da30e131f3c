#!/bin/sh
cd /srv && sed -i 's/    total = 0/    total = 0\n    number = abs(number)/' digits.py
