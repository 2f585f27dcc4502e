#!/bin/sh
# Random search in a shell. Needs jq and awk.
#
#     python -m leaderboard.check_agent "stdio:sh examples/third_party/random_agent.sh"
#
# Before `sh`, `env WIRE_LOG=/dev/stderr` puts every line, either way, into the agent's log.
set -eu

receive() {
  read -r line <&3
  printf 'harness: %s\n' "$line" >>"${WIRE_LOG:-/dev/null}"
}
send() {
  printf 'agent:   %s\n' "$1" >>"${WIRE_LOG:-/dev/null}"
  printf '%s\n' "$1" >&4
}

receive
parameters=$(printf '%s' "$line" | jq -c .params.task.parameters)
remaining=$(printf '%s' "$line" | jq .params.budget)
seed=$(printf '%s' "$line" | jq .params.seed)
send '{"jsonrpc":"2.0","id":1,"result":{"name":"random-shell"}}'

id=1
while [ "$remaining" -gt 0 ]; do
  # One number in [0, 1) for each parameter.
  numbers=$(printf '%s' "$parameters" | jq -r '.[].name' |
    awk -v seed="$((seed % 1000000 + id * 1000003))" 'BEGIN { srand(seed) } { print rand() }' | jq -sc .)
  design=$(printf '%s' "$parameters" | jq -c --argjson u "$numbers" '
    [to_entries[] | .key as $k | .value as $p | $u[$k] as $x | {
      key: $p.name,
      value: ((if $p.scale == "log" then $p.low * ($x * ($p.high / $p.low | log) | exp)
               else $p.low + $x * ($p.high - $p.low) end)
              | if $p.integer then round else . end)
    }] | from_entries')
  id=$((id + 1))
  send "{\"jsonrpc\":\"2.0\",\"id\":$id,\"method\":\"simulate\",\"params\":{\"designs\":[$design]}}"
  receive
  printf '%s' "$line" | jq -r '.result.evaluations[0] | "\(.status) \(.score)"'
  remaining=$(printf '%s' "$line" | jq .result.remaining)
done
send "{\"jsonrpc\":\"2.0\",\"id\":$((id + 1)),\"method\":\"finish\"}"
receive
