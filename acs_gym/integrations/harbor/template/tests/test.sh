#!/bin/bash
mkdir -p /logs/verifier
python -m acs_gym.integrations.harbor.verify /tests/problem.json /app/answer.json /logs/verifier/reward.json
