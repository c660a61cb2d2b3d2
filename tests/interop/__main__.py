"""Every interop script, on one cluster: `python tests/interop KURIER JARS [--control]`, see check.py."""
import check
from keys import keys
from log_append_time import log_append_time
from metrics import metrics
from operators import operators
from others_produce import others_produce
from others_read import others_read
from perf_tests import perf_tests
from shared_group import shared_group
from verifiable import verifiable

check.run([others_produce, others_read, log_append_time, shared_group],
          without_control=[keys, metrics, verifiable, perf_tests, operators])
