#!/bin/bash
cat > /app/answer.json <<'ANSWER'
{{answer}}
ANSWER
