#!/usr/bin/env bash
# Builds librdkafka's own rdkafka_performance, from the same source that kurier is linked with, as
# target/release/rdkafka_performance. Needs a finished `cargo build --release`.
set -euo pipefail
cd "$(dirname "$0")/.."
library=$(ls -d target/release/build/rdkafka-sys-*/out | head -1)
zstd=$(find target/release/build -name libzstd.a | head -1)
gcc -O2 -I "$library/src" -I "$library" "$library/examples/rdkafka_performance.c" \
  -o target/release/rdkafka_performance "$library/src/librdkafka.a" "$zstd" \
  -lm -lz -lssl -lcrypto -ldl -lpthread -lrt
