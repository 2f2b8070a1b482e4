vault_fuzz_test(handshake gate_core MASS 10000)
