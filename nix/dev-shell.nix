# A shell with what a checkout needs besides what the build fetches by itself.
{ pkgs, tools }:
pkgs.mkShell { packages = tools; }
