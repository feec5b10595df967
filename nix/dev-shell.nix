# A shell with what a checkout needs besides what the build fetches by itself.
{ pkgs, rust }:
pkgs.mkShell { packages = [ rust pkgs.go pkgs.python3 ]; }
