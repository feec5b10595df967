# What `nix run` runs, in a checkout: xtask and some of its verbs, with the tools that a build needs after those in PATH.
{ pkgs, xtask, tools }:
let
  path = builtins.concatStringsSep ":" (map (tool: "${tool}/bin") tools);
  app = name: verb:
    let
      script = pkgs.writeShellScriptBin name ''
        export PATH="$PATH''${PATH:+:}${path}"
        exec ${xtask}/bin/xtask ${verb} "$@"
      '';
    in
    { type = "app"; program = "${script}/bin/${name}"; };
in
{
  default = app "xtask" "";
  xtask = app "xtask" "";
  lock = app "lock" "lock";
  push = app "push" "push";
}
