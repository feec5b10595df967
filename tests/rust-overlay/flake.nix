# Stands for rust-overlay: the Rust that is installed here, whatever version is asked for; xtask compares it with the lock.
{
  outputs = { self }: {
    lib.mkRustBin = { }: pkgs:
      let host = builtins.fromJSON (builtins.readFile ./host.json); in
      {
        stable.${(builtins.fromTOML (builtins.readFile ./rust-toolchain.toml)).toolchain.channel}.minimal.override = { extensions, targets }:
          pkgs.runCommand "rust" { } ''
            mkdir -p $out
            ln -s ${host.rust}/bin $out/bin
          '';
      };
  };
}
