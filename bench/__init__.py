"""The station's cost beside nginx's, measured in one run. ``make bench``; how to read it: bench/README.md."""
