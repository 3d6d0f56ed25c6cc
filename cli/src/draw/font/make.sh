#!/bin/sh
# Writes text.ttf anew from DejaVuSans.ttf, the first argument. Needs fonttools.
set -eu
codes='U+20-7E,U+A0-17F,U+384-3CE,U+400-45F'
codes="$codes,U+2010-2015,U+2018-201E,U+2022,U+2026,U+2030,U+20AC,U+2070-208E,U+2190-2193"
codes="$codes,U+2202,U+2207,U+2211,U+2212,U+221A,U+221E,U+2248,U+2260,U+2264,U+2265"
pyftsubset "$1" --unicodes="$codes" --layout-features= --no-hinting --notdef-outline \
    --output-file="$(dirname "$0")/text.ttf"
