# The Go modules of a closure, as a directory that GOPROXY can name. By hash, so that it may be fetched: go.sum has said
# before what each module must be.
{ make, inputs, slice, hashes }:
release: closure:
make {
  name = "go-modules-${builtins.replaceStrings [ "/" ] [ "-" ] closure}";
  source = slice.go release;
  verb = "modules ${closure} --mirror ${inputs [ "go" "zig" ]}";
  prepare = "export GOMODCACHE=$TMPDIR/modules GOCACHE=$TMPDIR/go-build";
  attributes = {
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = hashes.${closure} or (throw
      "images/locks/go-modules.json has no hash of `${closure}`; docs/nix.md says how to add it");
    impureEnvVars = import ./go-environment.nix;
  };
}
