silent() { ! ask 198.51.100.7 8090 >/dev/null 2>&1; }
await 120 silent
