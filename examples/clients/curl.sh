#!/bin/sh
# Every protocol of the data port with curl alone: curl.sh URL MODEL, for a model of one FP32 input `x` [-1, 30].
set -eu
url=${1:-http://127.0.0.1:8080}
model=${2:-m}
row=$(awk 'BEGIN { for (i = 0; i < 30; i++) printf "%s0.1", (i ? "," : "") }')

ask() {
  curl --silent --show-error --fail-with-body --max-time 10 "$@"
  echo
}

echo "Open Inference Protocol v2"
ask "$url/v2/models/$model/infer" \
  --data "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP32\", \"shape\": [1, 30], \"data\": [$row]}]}"

echo "The same, compressed both ways"
printf '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 30], "data": [%s]}]}' "$row" | gzip |
  ask "$url/v2/models/$model/infer" --header "Content-Encoding: gzip" --compressed --data-binary @-

echo "Open Inference Protocol v2, the tensor and nothing else"
head -c 120 /dev/zero |
  ask "$url/v2/models/$model/infer" --header "Inference-Header-Content-Length: 0" --data-binary @- |
  head -c 40 | tr -d '\000'
echo

echo "KServe v1 and TensorFlow Serving"
ask "$url/v1/models/$model:predict" --data "{\"instances\": [[$row]]}"
ask "$url/v1/models/$model:predict" --data "{\"inputs\": {\"x\": [[$row]]}}"

echo "MLflow"
ask "$url/invocations" --header "Content-Type: application/json" --data "{\"inputs\": {\"x\": [[$row]]}}"

echo "SageMaker"
ask "$url/invocations" --header "Content-Type: application/json" \
  --header "X-Amzn-SageMaker-Custom-Attributes: trace-7" --data "{\"instances\": [[$row]]}"

echo "What was counted"
ask "$url/v2/models/$model/stats"
