vault_unit_test(seals keys)
