# The Go modules of a closure, as a directory that GOPROXY can name. By hash, so that it may be fetched: go.sum has said
# before what each module must be.
{ make, inputs, slice, hashes, omit }:
release: closure:
let
  # Without a program another one may be of a smaller closure, such as kubeadm without crictl, whose modules are more then.
  without = "${closure} without ${toString omit}";
  isOther = hashes ? ${without};
in
make {
  name = "go-modules-${builtins.replaceStrings [ "/" ] [ "-" ] closure}";
  source = slice.plugins.${closure} or slice.go.${release};
  verb = "modules ${closure} ${if isOther then toString (map (name: "--omit ${name} ") omit) else ""}"
    + "--mirror ${inputs [ "go" "zig" ]}";
  prepare = "export GOMODCACHE=$TMPDIR/modules GOCACHE=$TMPDIR/go-build";
  attributes = {
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = hashes.${if isOther then without else closure} or (throw
      "images/locks/go-modules.json has no hash of `${closure}`; docs/nix.md says how to add it");
    impureEnvVars = import ./go-environment.nix;
  };
}
