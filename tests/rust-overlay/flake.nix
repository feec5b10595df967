# Stands for rust-overlay: the Rust that is installed here, whatever version is asked for; xtask compares it with the lock.
{
  outputs = _: {
    lib.mkRustBin = {}: pkgs:
      let host = builtins.fromJSON (builtins.readFile ./host.json); in
      {
        stable.${(builtins.fromTOML (builtins.readFile ./rust-toolchain.toml)).toolchain.channel}.minimal.override = _:
          pkgs.runCommand "rust" { } ''
            mkdir -p $out
            ln -s ${host.rust}/bin ${host.rust}/lib $out
          '';
      };
  };
}
