#!/bin/sh
# The reward is 1 if all tests pass, else 0.
cd /tests || exit 1
if PYTHONPATH=/srv python3 -B -m unittest test_fields; then reward=1; else reward=0; fi
echo "$reward" > /logs/verifier/reward.txt
