vault_fuzz_test(keyring keys PkgConfig::libsodium MASS 100000)
