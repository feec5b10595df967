# What an image or index can be done with: `nix run .#ATTRIBUTE.push -- --to HOST/REPOSITORY` and `nix run .#ATTRIBUTE.load`,
# in a checkout or anywhere else.
{ pkgs, xtask }:
image:
let verb = name: pkgs.writeShellScriptBin "${name}-${image.name}" ''exec ${xtask}/bin/xtask ${name} ${image} "$@"''; in
{
  push = verb "push";
  load = verb "load";
}
