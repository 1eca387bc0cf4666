/* Hides instruction sets from a process and every library in it: those ask the processor by `cpuid`, not the system.
 *
 *     cc -O2 -shared -fPIC -o cpuid_mask.so cpuid_mask.c -ldl
 *     CPUID_MASK=AVX2 LD_PRELOAD=./cpuid_mask.so python ...
 *
 * CPUID_MASK: AVX2 hides AVX-512, VNNI and AMX; AVX512 hides VNNI and AMX alone. arch_prctl(ARCH_CPUID_ENABLE) makes
 * `cpuid` fault where the processor can (`cpuid_fault` in /proc/cpuinfo), and the handler here answers in its place.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_CPUID_ENABLE 0x1012
#define BIT(n) (1u << (n))

/* Leaf 7 (Intel's manual, volume 2A, CPUID): F, DQ, IFMA, PF, ER, CD, BW, VL; VBMI, VBMI2, BITALG, VPOPCNTDQ;
 * 4VNNIW, 4FMAPS, VP2INTERSECT, FP16. Sub-leaf 1: BF16; AVX-VNNI, AMX-FP16, AVX-IFMA; AVX-VNNI-INT8, -INT16, AVX10. */
#define AVX512_EBX (BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31))
#define AVX512_ECX (BIT(1) | BIT(6) | BIT(12) | BIT(14))
#define AVX512_EDX (BIT(2) | BIT(3) | BIT(8) | BIT(23))
#define VNNI_ECX BIT(11)
#define AMX_EDX (BIT(22) | BIT(24) | BIT(25))
#define AVX512_EAX_1 BIT(5)
#define VNNI_EAX_1 (BIT(4) | BIT(21) | BIT(23))
#define VNNI_EDX_1 (BIT(4) | BIT(10) | BIT(19))

static int hides_avx512;

static void allow_cpuid(int yes) { syscall(SYS_arch_prctl, ARCH_CPUID_ENABLE, yes); }

static void answer(int number, siginfo_t *info, void *context) {
    (void)number;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *at = (const uint8_t *)registers[REG_RIP];
    if (info->si_code != SI_KERNEL || at[0] != 0x0f || at[1] != 0xa2) {
        sigaction(SIGSEGV, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        return; /* a fault of the program's own: it comes again, and ends the process */
    }
    uint32_t leaf = registers[REG_RAX], part = registers[REG_RCX], a, b, c, d;
    allow_cpuid(1);
    __cpuid_count(leaf, part, a, b, c, d);
    allow_cpuid(0);
    if (leaf == 7 && part == 0) {
        c &= ~VNNI_ECX, d &= ~AMX_EDX;
        if (hides_avx512) b &= ~AVX512_EBX, c &= ~AVX512_ECX, d &= ~AVX512_EDX;
    } else if (leaf == 7 && part == 1) {
        a &= ~VNNI_EAX_1, d &= ~VNNI_EDX_1;
        if (hides_avx512) a &= ~AVX512_EAX_1;
    }
    registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

/* The signal stays with `answer`, whoever asks for it later (Python's faulthandler does). */
int sigaction(int number, const struct sigaction *new, struct sigaction *old) {
    static int (*real)(int, const struct sigaction *, struct sigaction *);
    static int taken;
    if (!real) real = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
    if (number == SIGSEGV && new && taken++ && new->sa_handler != SIG_DFL) return 0;
    return real(number, new, old);
}

__attribute__((constructor)) static void mask(void) {
    const char *isa = getenv("CPUID_MASK");
    if (!isa) return;
    hides_avx512 = !strcmp(isa, "AVX2");
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    allow_cpuid(0);
}
