/* PKCS#11 module that forwards all calls to another module, MODULE, and logs some of them to $SHIM_FOLDER/log.
   Files in $SHIM_FOLDER change its behavior: `removed` removes the token, `failing` makes signing fail, `locked` locks the PIN,
   `final` reports that one PIN attempt is left. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ck_ulong;
typedef ck_ulong (*ck_function)();

/* CK_FUNCTION_LIST of PKCS#11 2.40: a version and 68 functions in fixed order. */
enum { INITIALIZE = 0, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, CLOSE_SESSION = 13, LOGIN = 18, SIGN_INIT = 42, COUNT = 68 };
struct function_list {
    unsigned char major, minor;
    ck_function functions[COUNT];
};

enum { DEVICE_REMOVED = 0x32, PIN_LOCKED = 0xa4, TOKEN_NOT_PRESENT = 0xe0, FINAL_TRY = 0x20000 };

static struct function_list *module, shim_functions;

static void log_call(const char *function) {
    char path[4096];
    snprintf(path, sizeof path, "%s/log", getenv("SHIM_FOLDER"));
    FILE *log = fopen(path, "a");
    if (log) {
        fprintf(log, "%s\n", function);
        fclose(log);
    }
}

static int is_flag_set(const char *flag) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("SHIM_FOLDER"), flag);
    return access(path, F_OK) == 0;
}

static ck_ulong initialize(void *arguments) {
    log_call("C_Initialize");
    return module->functions[INITIALIZE](arguments);
}

static ck_ulong get_slot_list(unsigned char present, ck_ulong *slots, ck_ulong *count) {
    if (is_flag_set("removed")) {
        *count = 0;
        return 0;
    }
    return module->functions[GET_SLOT_LIST](present, slots, count);
}

/* CK_TOKEN_INFO: 32 + 32 + 16 + 16 bytes of text, then the flags. */
static ck_ulong get_token_info(ck_ulong slot, unsigned char *info) {
    if (is_flag_set("removed"))
        return TOKEN_NOT_PRESENT;
    ck_ulong result = module->functions[GET_TOKEN_INFO](slot, info);
    if (result == 0 && is_flag_set("final")) {
        ck_ulong flags;
        memcpy(&flags, info + 96, sizeof flags);
        flags |= FINAL_TRY;
        memcpy(info + 96, &flags, sizeof flags);
    }
    return result;
}

static ck_ulong open_session(ck_ulong slot, ck_ulong flags, void *application, void *notify, ck_ulong *session) {
    if (is_flag_set("removed"))
        return TOKEN_NOT_PRESENT;
    log_call("C_OpenSession");
    return module->functions[OPEN_SESSION](slot, flags, application, notify, session);
}

static ck_ulong close_session(ck_ulong session) {
    log_call("C_CloseSession");
    return module->functions[CLOSE_SESSION](session);
}

static ck_ulong login(ck_ulong session, ck_ulong user, unsigned char *pin, ck_ulong length) {
    log_call("C_Login");
    if (is_flag_set("locked"))
        return PIN_LOCKED;
    return module->functions[LOGIN](session, user, pin, length);
}

static ck_ulong sign_init(ck_ulong session, void *mechanism, ck_ulong key) {
    return is_flag_set("removed") || is_flag_set("failing") ? (ck_ulong)DEVICE_REMOVED : module->functions[SIGN_INIT](session, mechanism, key);
}

ck_ulong C_GetFunctionList(struct function_list **function_list) {
    void *library = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
    ck_ulong (*get)(struct function_list **) = library ? (ck_ulong (*)(struct function_list **))dlsym(library, "C_GetFunctionList") : NULL;
    if (get == NULL || get(&module) != 0)
        return 5;
    shim_functions = *module;
    shim_functions.functions[INITIALIZE] = (ck_function)initialize;
    shim_functions.functions[GET_SLOT_LIST] = (ck_function)get_slot_list;
    shim_functions.functions[GET_TOKEN_INFO] = (ck_function)get_token_info;
    shim_functions.functions[OPEN_SESSION] = (ck_function)open_session;
    shim_functions.functions[CLOSE_SESSION] = (ck_function)close_session;
    shim_functions.functions[LOGIN] = (ck_function)login;
    shim_functions.functions[SIGN_INIT] = (ck_function)sign_init;
    *function_list = &shim_functions;
    return 0;
}
