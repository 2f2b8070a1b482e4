vault_fuzz_test(handshake gate_core)
