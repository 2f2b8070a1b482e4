/* Writes the page of an export about a folder that holds records.jsonl alone, whatever is in it: for tests of the page.
 *   vaultctl-page FOLDER [ORIGIN] */
#include <stdio.h>
#include <string.h>

#include "vault/buffer.h"
#include "vault/result.h"
#include "vaultctl/audit/folder.h"

int main(int argc, char **argv) {
    static struct audit_report verified = {.records = 3, .first = 0, .last = 2, .tree_size = 7};
    if (argc < 2 || argc > 3)
        return 2;
    const char *origin = argc == 3 ? argv[2] : "vault.example/audit";
    if (!format_string(verified.origin, sizeof(verified.origin), "%s", origin) ||
        !format_string(verified.covers, sizeof(verified.covers), "all of %s", origin))
        return 2;
    struct audit_folder f = {
        .path = argv[1], .subject = origin, .origin = verified.origin, .vkey = origin, .verified = &verified};
    char *path = NULL;
    int result = audit_html_write(&f, &path);
    if (result != VAULT_OK)
        (void)fprintf(stderr, "%s: %s\n", path == NULL ? "" : path, vault_result_name(result));
    return result == VAULT_OK ? 0 : 1;
}
