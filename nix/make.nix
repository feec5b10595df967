# What one verb of `xtask make` makes, from a slice of the repository and the inputs that it names.
# Without `__structuredAttrs`: all attributes are plain strings, and Nix passes over `allowedReferences` where that is set.
{ pkgs, xtask }:
{ name, source, verb, prepare ? "", nativeBuildInputs ? [ ], attributes ? { allowedReferences = [ ]; } }:
pkgs.runCommand name (attributes // { nativeBuildInputs = [ xtask ] ++ nativeBuildInputs; }) ''
  export HOME=$TMPDIR/home
  mkdir $HOME
  ${prepare}
  cd ${source}
  xtask make ${verb} --out $out
''
