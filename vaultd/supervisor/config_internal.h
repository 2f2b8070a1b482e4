/* Members of the configuration's maps, for the files that read it. On failure `problem` says what is wrong and where:
 * VAULT_E_FORMAT. */
#ifndef VAULT_SUPERVISOR_CONFIG_INTERNAL_H
#define VAULT_SUPERVISOR_CONFIG_INTERNAL_H

#include "config.h"
#include "vault/yaml.h"

/* The member as text of at most size - 1 bytes; absent leaves what is there if `needed` is false. */
int take_text(const struct yaml_node *map, const char *key, bool needed, char *to, size_t size, char *problem);
/* The same, an absolute path. */
int take_path(const struct yaml_node *map, const char *key, bool needed, char *to, size_t size, char *problem);
/* A number; absent leaves what is there. */
int take_u32(const struct yaml_node *map, const char *key, uint32_t least, uint32_t most, uint32_t *to, char *problem);
/* {credential: NAME} or {file: PATH}. */
int take_credential(const struct yaml_node *map, const char *key, struct credential *to, char *problem);

/* config_alarms.c: the section `alarms`, if it is there. */
int take_alarms(const struct yaml_node *root, struct alarms_config *to, char *problem);
/* config_witnesses.c: the section `witnesses`, if it is there. */
int take_witnesses(const struct yaml_node *root, struct witnesses_config *to, char *problem);
/* config_token.c: the section `token`, if it is there. */
int take_token(const struct yaml_node *root, struct token_config *to, char *problem);

#endif
