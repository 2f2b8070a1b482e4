vault_unit_test(secret_memory base PkgConfig::libseccomp)
