# What `nix run` runs, in a checkout.
{ xtask }:
let app = { type = "app"; program = "${xtask}/bin/xtask"; }; in
{
  default = app;
  xtask = app;
}
