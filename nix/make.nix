# What one verb of `xtask make` makes, from a slice of the repository and the inputs that it names.
{ pkgs, xtask }:
{ name, source, verb, prepare ? "", nativeBuildInputs ? [ ], attributes ? { allowedReferences = [ ]; } }:
pkgs.runCommand name (attributes // { nativeBuildInputs = [ xtask ] ++ nativeBuildInputs; }) ''
  export HOME=$TMPDIR/home
  mkdir $HOME
  ${prepare}
  cd ${source}
  xtask make ${verb} --out $out
''
