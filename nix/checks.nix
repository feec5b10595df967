# What `nix flake check` builds: the newest release's plain image on no distribution, for one architecture.
{ pkgs, packages }:
let
  names = builtins.filter (name: builtins.match "kubelet-v[0-9_]+-micro-amd64" name != null) (builtins.attrNames packages);
  newest = builtins.elemAt names (builtins.length names - 1);
in
{
  image = packages.${newest};
  xtask = packages.xtask;
}
