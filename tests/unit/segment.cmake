vault_unit_test(segment format PkgConfig::libcrypto)
