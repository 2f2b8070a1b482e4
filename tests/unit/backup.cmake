vault_unit_test(backup backup_core lmdb)
