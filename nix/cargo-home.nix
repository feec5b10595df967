# Shell that makes a CARGO_HOME whose crates.io is a directory of crates. They lie where cargo itself unpacks those of
# crates.io: panics name the files, and so do programs.
crates: ''
  export CARGO_HOME=$TMPDIR/cargo
  sources=$CARGO_HOME/registry/src/index.crates.io-1949cf8c6b5b557f
  mkdir -p $CARGO_HOME/registry/src
  cp -r --no-preserve=mode,ownership ${crates} $sources
  printf '[source.crates-io]\nreplace-with = "here"\n[source.here]\ndirectory = "%s"\n' $sources > $CARGO_HOME/config.toml
''
