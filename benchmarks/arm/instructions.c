/* QEMU plugin that counts the instructions of AArch64 between marks, those for 8-bit products apart.

   A mark is a `close` of descriptor MARK, which the program makes; each writes a line of counts to the file `to=PATH`
   and starts again from zero. For one thread at a time, as the counters are not locked. The declarations are those of
   version 1 of QEMU's plugin interface (docs/devel/tcg-plugins.rst of QEMU 7.2), which Debian ships without its header.
*/
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MARK 1000003
#define CLOSE 57 /* of Linux on AArch64 */

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

typedef void (*translated_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*called_t)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                         uint64_t, uint64_t, uint64_t);

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_t);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *, uint64_t);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, enum qemu_plugin_op, void *,
                                                       uint64_t);
extern void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, called_t);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* Arm Architecture Reference Manual, C4.1, A64 instruction set encoding: vectors, and by element. */
static const struct {
    const char *kind;
    uint32_t mask, bits;
} ENCODINGS[] = {
    {"i8mm", 0xFFE0FC00, 0x4E80A400}, /* SMMLA */
    {"i8mm", 0xFFE0FC00, 0x6E80A400}, /* UMMLA */
    {"i8mm", 0xFFE0FC00, 0x4E80AC00}, /* USMMLA */
    {"sdot", 0xBFE0FC00, 0x0E809400}, {"sdot", 0xBFC0F400, 0x0F80E000},
    {"udot", 0xBFE0FC00, 0x2E809400}, {"udot", 0xBFC0F400, 0x2F80E000},
    {"usdot", 0xBFE0FC00, 0x0E809C00}, {"usdot", 0xBFC0F400, 0x0F80F000},
    {"usdot", 0xBFC0F400, 0x0F00F000}, /* SUDOT */
    {"mull8", 0x9FE0BC00, 0x0E208000}, /* SMLAL, SMULL, UMLAL, UMULL of 8 bits */
    {"mull16", 0x9FE0BC00, 0x0E608000}, {"mull16", 0x9FC07400, 0x0F402000}, /* of 16 bits */
    {"fmla", 0xBFA0FC00, 0x0E20CC00}, {"fmla", 0xBF80F400, 0x0F801000},
};
enum { KINDS = sizeof ENCODINGS / sizeof ENCODINGS[0] };

static uint64_t total, counts[KINDS];
static FILE *out;

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    size_t length = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &total, length);
    for (size_t i = 0; i < length; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
        for (int kind = 0; kind < KINDS; kind++)
            if ((word & ENCODINGS[kind].mask) == ENCODINGS[kind].bits) {
                qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64, &counts[kind], 1);
                break;
            }
    }
}

/* A line of JSON: {"all": 12, "sdot": 3, ...}, where encodings of the same kind follow each other. */
static void on_syscall(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t first, uint64_t b, uint64_t c,
                       uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)cpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != CLOSE || first != MARK) return;
    fprintf(out, "{\"all\": %" PRIu64, total);
    for (int kind = 0; kind < KINDS;) {
        const char *name = ENCODINGS[kind].kind;
        uint64_t sum = 0;
        for (; kind < KINDS && !strcmp(ENCODINGS[kind].kind, name); kind++) sum += counts[kind];
        fprintf(out, ", \"%s\": %" PRIu64, name, sum);
    }
    fprintf(out, "}\n");
    fflush(out);
    total = 0;
    memset(counts, 0, sizeof counts);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
                                                               char **argv) {
    (void)info;
    if (argc != 1 || strncmp(argv[0], "to=", 3) || !(out = fopen(argv[0] + 3, "w"))) {
        fprintf(stderr, "instructions.so: expected to=PATH of a file that can be written\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
