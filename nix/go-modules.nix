# The Go modules of a closure, as a directory that GOPROXY can name. By hash, so that it may be fetched: go.sum has said
# before what each module must be.
{ pkgs, xtask, inputs, slice, hashes }:
release: closure:
pkgs.runCommand "go-modules-${builtins.replaceStrings [ "/" ] [ "-" ] closure}"
{
  nativeBuildInputs = [ xtask ];
  outputHashMode = "recursive";
  outputHashAlgo = "sha256";
  outputHash = hashes.${closure} or (throw
    "images/locks/go-modules.json has no hash of `${closure}`; docs/nix.md says how to add it");
  impureEnvVars = import ./go-environment.nix;
} ''
  export HOME=$TMPDIR/home GOMODCACHE=$TMPDIR/modules GOCACHE=$TMPDIR/go-build
  mkdir $HOME
  cd ${slice.go release}
  xtask make modules ${closure} --mirror ${inputs [ "go" "zig" ]} --out $out
''
