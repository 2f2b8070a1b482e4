vault_unit_test(parse_documents parse policies)
