#!/usr/bin/env python3
"""Exits 0 if http://127.0.0.1:PORT/health answers 200; slim images have no curl."""

import sys
import urllib.request

urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/health", timeout=4)
