/* A PKCS#11 module that hands all on to another one, MODULE, and writes what matters to the tests into $SHIM_FOLDER/log.
   Files in $SHIM_FOLDER make it act: `removed` takes the token out, `failing` keeps it from
   signing, `locked` locks its PIN, `final` leaves one try. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long word;
typedef word (*function)();

/* CK_FUNCTION_LIST of PKCS#11 2.40: a version, and 68 functions in an order that never changed. */
enum { INITIALIZE = 0, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18, SIGN_INIT = 42, COUNT = 68 };
struct list {
    unsigned char major, minor;
    function functions[COUNT];
};

enum { DEVICE_REMOVED = 0x32, PIN_LOCKED = 0xa4, TOKEN_NOT_PRESENT = 0xe0, FINAL_TRY = 0x20000 };

static struct list *module, ours;

static void note(const char *what) {
    char path[4096];
    snprintf(path, sizeof path, "%s/log", getenv("SHIM_FOLDER"));
    FILE *log = fopen(path, "a");
    if (log) {
        fprintf(log, "%s\n", what);
        fclose(log);
    }
}

static int told_to(const char *what) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("SHIM_FOLDER"), what);
    return access(path, F_OK) == 0;
}

static word initialize(void *arguments) {
    note("C_Initialize");
    return module->functions[INITIALIZE](arguments);
}

static word get_slot_list(unsigned char present, word *slots, word *count) {
    if (told_to("removed")) {
        *count = 0;
        return 0;
    }
    return module->functions[GET_SLOT_LIST](present, slots, count);
}

/* CK_TOKEN_INFO: 32 + 32 + 16 + 16 bytes of text, and then the flags. */
static word get_token_info(word slot, unsigned char *info) {
    if (told_to("removed"))
        return TOKEN_NOT_PRESENT;
    word answer = module->functions[GET_TOKEN_INFO](slot, info);
    if (answer == 0 && told_to("final")) {
        word flags;
        memcpy(&flags, info + 96, sizeof flags);
        flags |= FINAL_TRY;
        memcpy(info + 96, &flags, sizeof flags);
    }
    return answer;
}

static word open_session(word slot, word flags, void *application, void *notify, word *session) {
    if (told_to("removed"))
        return TOKEN_NOT_PRESENT;
    note("C_OpenSession");
    return module->functions[OPEN_SESSION](slot, flags, application, notify, session);
}

static word close_session(word session) {
    note("C_CloseSession");
    return module->functions[CLOSE_SESSION](session);
}

static word login(word session, word user, unsigned char *pin, word length) {
    note("C_Login");
    if (told_to("locked"))
        return PIN_LOCKED;
    return module->functions[LOGIN](session, user, pin, length);
}

static word sign_init(word session, void *mechanism, word key) {
    return told_to("removed") || told_to("failing") ? (word)DEVICE_REMOVED : module->functions[SIGN_INIT](session, mechanism, key);
}

word C_GetFunctionList(struct list **list) {
    void *library = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
    word (*get)(struct list **) = library ? (word (*)(struct list **))dlsym(library, "C_GetFunctionList") : NULL;
    if (get == NULL || get(&module) != 0)
        return 5;
    ours = *module;
    ours.functions[INITIALIZE] = (function)initialize;
    ours.functions[GET_SLOT_LIST] = (function)get_slot_list;
    ours.functions[GET_TOKEN_INFO] = (function)get_token_info;
    ours.functions[OPEN_SESSION] = (function)open_session;
    ours.functions[CLOSE_SESSION] = (function)close_session;
    ours.functions[LOGIN] = (function)login;
    ours.functions[SIGN_INIT] = (function)sign_init;
    *list = &ours;
    return 0;
}
