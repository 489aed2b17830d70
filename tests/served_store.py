"""Names of what is in the store that the pages are tested with, hostile ones among them."""

from __future__ import annotations

import drawn_results as made

from devices.environment import Environment

EVIL = "<img src=x onerror='window.ran=1'>"
WORSE = "</script><script>window.ran=1</script>"
EVIL_OP = f"mbconv/{EVIL}/{WORSE}"
FAILED = "conv/8x8x8/kernel=3,out=8,stride=1"
OTHER = Environment.of({"chip": f"another {EVIL}", "cores": "8", EVIL: WORSE})
SLOWER = made.SPACE.all_ops()[7]
FIRST = f"{made.TARGET}@{made.ENVIRONMENT.id}"
SECOND = f"{made.TARGET}@{OTHER.id}"
