#!/bin/sh
cd /srv && sed -i 's/        total += VALUES\[symbol\]/        value = VALUES[symbol]\n        total += value - 2 * last if value > last > 0 else value\n        last = value/; s/    total = 0/    total = last = 0/' roman.py
