/* SPDX-License-Identifier: MIT
 *
 * refusal_test.cpp - what would lose a reference or a frame is refused by name; and with the refusal switched
 * off, the object is lost. [jit.refuse.1] [jit.refuse.2] [jit.refuse.3]
 */
#include "jit_fixture.h"

#include <cstdlib>
#include <cstring>

namespace echo::testing {
namespace {

struct Refusal {
  const char* name;
  echo_status code;
  const char* text;
  std::vector<const char*> words; /* all in the message */
};

class Refusals : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refusals, NamesWhatAndWhere) {
  const Refusal& refusal = GetParam();
  for (uint32_t optimise : {0u, 2u}) {
    FakeHeap heap;
    TestJit jit(heap, optimise);
    EXPECT_EQ(refusal.code, jit.add(refusal.text, "program.ll")) << jit.error.message;
    EXPECT_EQ(refusal.code, jit.error.code);
    EXPECT_NE(nullptr, std::strstr(jit.error.message, "program.ll: ")) << jit.error.message;
    for (const char* word : refusal.words)
      EXPECT_NE(nullptr, std::strstr(jit.error.message, word)) << word << " is not in: " << jit.error.message;
    /* the JIT stays usable [jit.session.1] */
    EXPECT_EQ(ECHO_OK, jit.add("define i64 @f(i64 %x) { ret i64 %x }")) << jit.error.message;
    EXPECT_EQ(5u, jit.call("f", {5}));
  }
}

const Refusal kRefusals[] = {
    {"RefInStackSlot",
     ECHO_REF_IN_STACK_SLOT,
     R"(
declare void @use(ptr)
define void @f(ptr addrspace(1) %a) !dbg !5 {
  %local = alloca ptr addrspace(1)
    #dbg_declare(ptr %local, !9, !DIExpression(), !10)
  store ptr addrspace(1) %a, ptr %local, !dbg !10
  call void @use(ptr %local), !dbg !10
  ret void, !dbg !10
}
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!3, !4}
!0 = distinct !DICompileUnit(language: DW_LANG_C11, file: !1, emissionKind: FullDebug)
!1 = !DIFile(filename: "list.c", directory: "/")
!3 = !{i32 2, !"Debug Info Version", i32 3}
!4 = !{i32 7, !"Dwarf Version", i32 5}
!5 = distinct !DISubprogram(name: "f", scope: !1, file: !1, line: 10, type: !6, unit: !0, spFlags: DISPFlagDefinition)
!6 = !DISubroutineType(types: !7)
!7 = !{null}
!8 = !DIBasicType(name: "long", size: 64, encoding: DW_ATE_signed)
!9 = !DILocalVariable(name: "head", scope: !5, file: !1, line: 12, type: !8)
!10 = !DILocation(line: 13, scope: !5)
)",
     {"variable 'head' (list.c:12)", "function 'f' (list.c:12)", "do not take its address"}},
    {"SourceFileAndLine",
     ECHO_REF_AS_INTEGER,
     R"(
define i64 @f(ptr addrspace(1) %a) !dbg !5 {
  %i = ptrtoint ptr addrspace(1) %a to i64, !dbg !10
  ret i64 %i, !dbg !10
}
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!3, !4}
!0 = distinct !DICompileUnit(language: DW_LANG_C11, file: !1, emissionKind: FullDebug)
!1 = !DIFile(filename: "list.c", directory: "/")
!3 = !{i32 2, !"Debug Info Version", i32 3}
!4 = !{i32 7, !"Dwarf Version", i32 5}
!5 = distinct !DISubprogram(name: "f", scope: !1, file: !1, line: 10, type: !6, unit: !0, spFlags: DISPFlagDefinition)
!6 = !DISubroutineType(types: !7)
!7 = !{null}
!10 = !DILocation(line: 13, scope: !5)
)",
     {"in function 'f' (list.c:13)"}},
    {"SourceOfAFunction",
     ECHO_UNSUPPORTED_FRAME,
     R"(
define i64 @f(i64 %a, ...) !dbg !5 {
  ret i64 %a
}
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!3, !4}
!0 = distinct !DICompileUnit(language: DW_LANG_C11, file: !1, emissionKind: FullDebug)
!1 = !DIFile(filename: "list.c", directory: "/")
!3 = !{i32 2, !"Debug Info Version", i32 3}
!4 = !{i32 7, !"Dwarf Version", i32 5}
!5 = distinct !DISubprogram(name: "f", scope: !1, file: !1, line: 10, type: !6, unit: !0, spFlags: DISPFlagDefinition)
!6 = !DISubroutineType(types: !7)
!7 = !{null}
)",
     {"in function 'f' (list.c:10)"}},
    {"SourceOfAModuleVariable",
     ECHO_THREAD_LOCAL_VARIABLE,
     R"(
@current = thread_local global i64 0, !dbg !5
!llvm.dbg.cu = !{!0}
!llvm.module.flags = !{!3, !4}
!0 = distinct !DICompileUnit(language: DW_LANG_C11, file: !1, emissionKind: FullDebug, globals: !2)
!1 = !DIFile(filename: "list.c", directory: "/")
!2 = !{!5}
!3 = !{i32 2, !"Debug Info Version", i32 3}
!4 = !{i32 7, !"Dwarf Version", i32 5}
!5 = !DIGlobalVariableExpression(var: !6, expr: !DIExpression())
!6 = distinct !DIGlobalVariable(name: "current", scope: !0, file: !1, line: 3, type: !7, isLocal: false, isDefinition: true)
!7 = !DIBasicType(name: "long", size: 64, encoding: DW_ATE_signed)
)",
     {"module variable 'current' (list.c:3)"}},
    {"LocalArrayOfRefs",
     ECHO_REF_IN_STACK_SLOT,
     R"(
define i64 @f(i64 %i, ptr addrspace(1) %a) {
  %table = alloca [4 x ptr addrspace(1)]
  %p = getelementptr [4 x ptr addrspace(1)], ptr %table, i64 0, i64 %i
  store ptr addrspace(1) %a, ptr %p
  ret i64 0
})",
     {"'table'", "'f'"}},
    {"RefInUntypedStack",
     ECHO_REF_IN_STACK_SLOT,
     R"(
declare void @use(ptr)
define void @f(ptr addrspace(1) %a) {
  %bytes = alloca [16 x i8], align 8
  %p = getelementptr i8, ptr %bytes, i64 8
  store ptr addrspace(1) %a, ptr %p
  call void @use(ptr %bytes)
  ret void
})",
     {"'bytes'", "stored"}},
    {"RefInByvalParameter",
     ECHO_REF_IN_STACK_SLOT,
     "define ptr addrspace(1) @f(ptr byval({ptr addrspace(1), i64, i64}) %s) {\n"
     "%v = load ptr addrspace(1), ptr %s\n ret ptr addrspace(1) %v }",
     {"'s'", "passed in memory"}},
    {"RefInRawMemory",
     ECHO_REF_IN_RAW_MEMORY,
     "define void @f(ptr %raw, ptr addrspace(1) %a) { store ptr addrspace(1) %a, ptr %raw ret void }",
     {"stored", "outside the heap", "'f'"}},
    {"RefReadFromRawMemory",
     ECHO_REF_IN_RAW_MEMORY,
     "define ptr addrspace(1) @f(ptr %raw) { %v = load ptr addrspace(1), ptr %raw ret ptr addrspace(1) %v }",
     {"read", "'f'"}},
    {"RefInUntypedGlobal",
     ECHO_REF_IN_RAW_MEMORY,
     "@bytes.g = global [16 x i8] zeroinitializer\n"
     "define void @f(ptr addrspace(1) %a) { store ptr addrspace(1) %a, ptr @bytes.g ret void }",
     {"'bytes.g'"}},
    {"RefBesideItsWord",
     ECHO_REF_IN_RAW_MEMORY,
     "@pair = global { i64, ptr addrspace(1) } zeroinitializer\n"
     "define void @f(ptr addrspace(1) %a) { store ptr addrspace(1) %a, ptr @pair ret void }",
     {"'pair'"}},
    {"RefInExternalGlobal",
     ECHO_REF_IN_RAW_MEMORY,
     "@elsewhere = external global ptr addrspace(1)\n"
     "define void @f(ptr addrspace(1) %a) { store ptr addrspace(1) %a, ptr @elsewhere ret void }",
     {"'elsewhere'", "define the variable"}},
    {"IntegerInRootWord",
     ECHO_REF_AS_INTEGER,
     "@pair = global { i64, ptr addrspace(1) } zeroinitializer\n"
     "define void @f(i64 %x) { store i64 %x, ptr getelementptr (i8, ptr @pair, i64 8) ret void }",
     {"'pair'"}},
    {"PointerToInteger",
     ECHO_REF_AS_INTEGER,
     "define i64 @f(ptr addrspace(1) %a) { %i = ptrtoint ptr addrspace(1) %a to i64 ret i64 %i }",
     {"converted to an integer", "'f'"}},
    {"IntegerToPointer",
     ECHO_REF_AS_INTEGER,
     "define ptr addrspace(1) @f(i64 %a) { %p = inttoptr i64 %a to ptr addrspace(1) ret ptr addrspace(1) %p "
     "}",
     {"an integer is converted", "'f'"}},
    {"IntegerConstantToPointer",
     ECHO_REF_AS_INTEGER,
     "define ptr addrspace(1) @f() { ret ptr addrspace(1) inttoptr (i64 4096 to ptr addrspace(1)) }",
     {"constant", "'f'"}},
    {"InitialiserFromInteger",
     ECHO_REF_AS_INTEGER,
     "@g = global ptr addrspace(1) inttoptr (i64 4096 to ptr addrspace(1))",
     {"'g'"}},
    {"AddressSpaceCast",
     ECHO_REF_ADDRSPACECAST,
     "define ptr @f(ptr addrspace(1) %a) { %p = addrspacecast ptr addrspace(1) %a to ptr ret ptr %p }",
     {"'f'", "handles"}},
    {"ConstantAddressSpaceCast",
     ECHO_REF_ADDRSPACECAST,
     "@x = global i64 0\n"
     "define ptr addrspace(1) @f() { ret ptr addrspace(1) addrspacecast (ptr @x to ptr addrspace(1)) }",
     {"'f'"}},
    {"Memcpy",
     ECHO_REF_MEMORY_INTRINSIC,
     "declare void @llvm.memcpy.p1.p1.i64(ptr addrspace(1), ptr addrspace(1), i64, i1)\n"
     "define void @f(ptr addrspace(1) %a, ptr addrspace(1) %b) {\n"
     "call void @llvm.memcpy.p1.p1.i64(ptr addrspace(1) %a, ptr addrspace(1) %b, i64 8, i1 false) ret void }",
     {"memcpy", "'f'", "raw_copy"}},
    {"Memset",
     ECHO_REF_MEMORY_INTRINSIC,
     "declare void @llvm.memset.p1.i64(ptr addrspace(1), i8, i64, i1)\n"
     "define void @f(ptr addrspace(1) %a) {\n"
     "call void @llvm.memset.p1.i64(ptr addrspace(1) %a, i8 0, i64 8, i1 false) ret void }",
     {"memset", "'f'"}},
    {"MemcpyOfRootGlobal",
     ECHO_REF_MEMORY_INTRINSIC,
     "@a = global [4 x ptr addrspace(1)] zeroinitializer\n@b = global [4 x ptr addrspace(1)] "
     "zeroinitializer\n"
     "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)\n"
     "define void @f() { call void @llvm.memcpy.p0.p0.i64(ptr @a, ptr @b, i64 32, i1 false) ret void }",
     {"'a'"}},
    {"MustTail",
     ECHO_MUSTTAIL_CALL,
     "define i64 @f(i64 %x) { %r = musttail call i64 @f(i64 %x) ret i64 %r }",
     {"musttail", "'f'"}},
    {"ThreadLocal",
     ECHO_THREAD_LOCAL_VARIABLE,
     "@tls = thread_local global i64 0\ndefine i64 @f() { ret i64 0 }",
     {"'tls'"}},
    {"DynamicAndAligned",
     ECHO_UNSUPPORTED_FRAME,
     R"(
declare void @use(ptr)
define void @f(i64 %n) {
  %vla = alloca i8, i64 %n
  %big = alloca [32 x i8], align 64
  call void @use(ptr %vla)
  call void @use(ptr %big)
  ret void
})",
     {"'vla'", "'big'", "'f'"}},
    {"Variadic",
     ECHO_UNSUPPORTED_FRAME,
     "define i64 @f(i64 %x, ...) { ret i64 %x }",
     {"variable parameter list", "'f'"}},
    {"CallingConvention",
     ECHO_UNSUPPORTED_FRAME,
     "define tailcc i64 @f(i64 %x) { ret i64 %x }",
     {"calling convention", "'f'"}},
    {"AtomicStoreOfRef",
     ECHO_UNSUPPORTED_OPERATION,
     "define void @f(ptr addrspace(1) %o, ptr addrspace(1) %v) {\n"
     "store atomic ptr addrspace(1) %v, ptr addrspace(1) %o release, align 8 ret void }",
     {"atomic", "'f'"}},
    {"VolatileStoreOfRef",
     ECHO_UNSUPPORTED_OPERATION,
     "define void @f(ptr addrspace(1) %o, ptr addrspace(1) %v) {\n"
     "store volatile ptr addrspace(1) %v, ptr addrspace(1) %o ret void }",
     {"volatile", "'f'"}},
    {"ExchangeOfRefsInAGlobal",
     ECHO_UNSUPPORTED_OPERATION,
     "@word = global ptr addrspace(1) null\n"
     "define ptr addrspace(1) @f(ptr addrspace(1) %v) {\n"
     "%r = atomicrmw xchg ptr @word, ptr addrspace(1) %v seq_cst, align 8 ret ptr addrspace(1) %r }",
     {"exchange", "'f'"}},
    {"VolatileCompareExchangeOfRefs",
     ECHO_UNSUPPORTED_OPERATION,
     "define i1 @f(ptr addrspace(1) %o, ptr addrspace(1) %v) {\n"
     "%r = cmpxchg volatile ptr addrspace(1) %o, ptr addrspace(1) %v, ptr addrspace(1) %v seq_cst seq_cst, "
     "align 8\n"
     "%b = extractvalue { ptr addrspace(1), i1 } %r, 1 ret i1 %b }",
     {"exchange", "'f'"}},
    {"InteriorPointerExchanged",
     ECHO_UNSUPPORTED_OPERATION,
     "define ptr addrspace(1) @f(ptr addrspace(1) %o) {\n"
     "%p = getelementptr i8, ptr addrspace(1) %o, i64 8\n"
     "%r = call ptr addrspace(1) @echo.gc.exchange(ptr addrspace(1) %o, ptr addrspace(1) %p, ptr "
     "addrspace(1) %p)\n"
     "ret ptr addrspace(1) %r }",
     {"middle of an object", "stored", "'f'"}},
    {"StructStoredInHeap",
     ECHO_UNSUPPORTED_OPERATION,
     "define void @f(ptr addrspace(1) %o, { ptr addrspace(1), i64 } %v) {\n"
     "store { ptr addrspace(1), i64 } %v, ptr addrspace(1) %o ret void }",
     {"members one by one", "'f'"}},
    {"InlineAssembly",
     ECHO_UNSUPPORTED_OPERATION,
     "define void @f(ptr addrspace(1) %o) { call void asm sideeffect \"\", \"r\"(ptr addrspace(1) %o) ret "
     "void }",
     {"inline assembly", "'f'"}},
    {"InteriorPointerPassed",
     ECHO_UNSUPPORTED_OPERATION,
     "define void @g(ptr addrspace(1) %p) noinline { ret void }\n"
     "define void @f(ptr addrspace(1) %o) { %p = getelementptr i8, ptr addrspace(1) %o, i64 8\n"
     "call void @g(ptr addrspace(1) %p) ret void }",
     {"middle of an object", "passed", "'f'"}},
    {"InteriorPointerReturned",
     ECHO_UNSUPPORTED_OPERATION,
     "define ptr addrspace(1) @f(ptr addrspace(1) %o, i64 %i) {\n"
     "%p = getelementptr i64, ptr addrspace(1) %o, i64 %i ret ptr addrspace(1) %p }",
     {"middle of an object", "returned", "'f'"}},
    {"InteriorPointerStored",
     ECHO_UNSUPPORTED_OPERATION,
     "define void @f(ptr addrspace(1) %o, i1 %c) { %p = getelementptr i8, ptr addrspace(1) %o, i64 8\n"
     "%q = select i1 %c, ptr addrspace(1) %p, ptr addrspace(1) %o\n"
     "store ptr addrspace(1) %q, ptr addrspace(1) %o ret void }",
     {"middle of an object", "stored", "'f'"}},
    {"SetJump",
     ECHO_UNSUPPORTED_OPERATION,
     "declare i32 @setjmp(ptr) returns_twice\n"
     "define i32 @f(ptr %b) { %r = call i32 @setjmp(ptr %b) returns_twice ret i32 %r }",
     {"returns twice", "'f'"}},
    {"ForeignStatepoints",
     ECHO_UNSUPPORTED_OPERATION,
     "declare void @llvm.gcroot(ptr, ptr)\n"
     "define void @f() gc \"shadow-stack\" { %s = alloca ptr\n"
     "call void @llvm.gcroot(ptr %s, ptr null) ret void }",
     {"llvm.gcroot", "'f'"}},
    {"CodeEscapes",
     ECHO_MANAGED_CODE_ESCAPES,
     "declare void @qsort(ptr, i64, i64, ptr)\n"
     "define i32 @compare(ptr %a, ptr %b) { ret i32 0 }\n"
     "define void @f(ptr %a) { call void @qsort(ptr %a, i64 1, i64 8, ptr @compare) ret void }",
     {"'compare'", "'qsort'", "'f'"}},
    {"LeafThatStoresEscapes",
     ECHO_MANAGED_CODE_ESCAPES,
     "declare void @visit(ptr)\n"
     "define void @leaf(ptr addrspace(1) %o) \"gc-leaf-function\" { store ptr addrspace(1) %o, ptr "
     "addrspace(1) %o ret void }\n"
     "define void @f() { call void @visit(ptr @leaf) ret void }",
     {"'leaf'", "'visit'"}},
    {"LeafThatAllocates",
     ECHO_BAD_ABSTRACT_OPERATION,
     "define ptr addrspace(1) @f() \"gc-leaf-function\" {\n"
     "%o = call ptr addrspace(1) @echo.gc.new(ptr @node) ret ptr addrspace(1) %o }",
     {"echo.gc.new", "'f'", "gc-leaf-function"}},
    {"LeafThatCallsCollected",
     ECHO_UNSUPPORTED_OPERATION,
     "define void @g() { ret void }\n"
     "define void @f() \"gc-leaf-function\" { call void @g() ret void }",
     {"'g'", "'f'"}},
    {"Constructors",
     ECHO_UNSUPPORTED_OPERATION,
     "@llvm.global_ctors = appending global [1 x { i32, ptr, ptr }] [{ i32, ptr, ptr } { i32 1, ptr @f, ptr "
     "null }]\n"
     "define void @f() { ret void }",
     {"constructors"}},
    {"VariableLayout",
     ECHO_BAD_ABSTRACT_OPERATION,
     "define ptr addrspace(1) @f(ptr %l) { %o = call ptr addrspace(1) @echo.gc.new(ptr %l) ret ptr "
     "addrspace(1) %o }",
     {"layout operand", "'f'"}},
    {"WritableLayout",
     ECHO_BAD_ABSTRACT_OPERATION,
     "@w = global %echo_layout { i32 48, i32 1, ptr @node.name, i64 24, i32 0, i32 0, i32 0, i32 0, ptr null "
     "}\n"
     "define ptr addrspace(1) @f() { %o = call ptr addrspace(1) @echo.gc.new(ptr @w) ret ptr addrspace(1) %o "
     "}",
     {"layout operand", "'f'"}},
    {"ShortLayout",
     ECHO_BAD_LAYOUT,
     "@s = constant [3 x i64] zeroinitializer\n"
     "define ptr addrspace(1) @f() { %o = call ptr addrspace(1) @echo.gc.new(ptr @s) ret ptr addrspace(1) %o "
     "}",
     {"'s'", "shorter"}},
    {"LyingLayout",
     ECHO_BAD_LAYOUT,
     "@l.slots = private constant [1 x %echo_slot] [%echo_slot { i32 64, i32 0 }]\n"
     "@l = constant %echo_layout { i32 48, i32 1, ptr @node.name, i64 24, i32 0, i32 0, i32 0, i32 1, ptr "
     "@l.slots }\n"
     "define ptr addrspace(1) @f() { %o = call ptr addrspace(1) @echo.gc.new(ptr @l) ret ptr addrspace(1) %o "
     "}",
     {"'l'", "slot 0 lies outside"}},
    {"SlotsFewerThanCounted",
     ECHO_BAD_LAYOUT,
     "@l = constant %echo_layout { i32 48, i32 1, ptr @node.name, i64 24, i32 0, i32 0, i32 0, i32 2000000, "
     "ptr @node.slots }\n"
     "define ptr addrspace(1) @f() { %o = call ptr addrspace(1) @echo.gc.new(ptr @l) ret ptr addrspace(1) %o "
     "}",
     {"'l'", "fewer"}},
    {"NameWithoutEnd",
     ECHO_BAD_LAYOUT,
     "@n = private constant [4 x i8] c\"name\"\n"
     "@l = constant %echo_layout { i32 48, i32 1, ptr @n, i64 24, i32 0, i32 0, i32 0, i32 0, ptr null }\n"
     "define ptr addrspace(1) @f() { %o = call ptr addrspace(1) @echo.gc.new(ptr @l) ret ptr addrspace(1) %o "
     "}",
     {"'l'", "name"}},
    {"ArrayLayoutForNew",
     ECHO_BAD_ABSTRACT_OPERATION,
     "define ptr addrspace(1) @f() { %o = call ptr addrspace(1) @echo.gc.new(ptr @refs) ret ptr addrspace(1) "
     "%o }",
     {"'refs'", "new_array"}},
    {"TooManyRoots",
     ECHO_LIMIT_EXCEEDED,
     "@many = global [8193 x ptr addrspace(1)] zeroinitializer",
     {"'many'", "8192"}},
};

INSTANTIATE_TEST_SUITE_P(All, Refusals, ::testing::ValuesIn(kRefusals),
                         [](const ::testing::TestParamInfo<Refusal>& one) {
                           return std::string(one.param.name);
                         });

/* --- operations
 * --------------------------------------------------------------------------------------------------- */

TEST(Operations, WrongDeclarationsAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"declare ptr @echo.gc.new(ptr)", "'echo.gc.new' is declared as 'ptr (ptr)'"},
      {"declare void @echo.gc.nonsense()", "'echo.gc.nonsense' is no abstract operation"},
      {"define void @echo.gc.safepoint() { ret void }", "only declare it"},
      {"declare void @echo.gc.safepoint()\n@p = global ptr @echo.gc.safepoint",
       "address of echo.gc.safepoint"},
      {"define void @echo.stub.poll() { ret void }", "reserved name"},
  };
  for (const auto& [text, words] : cases) {
    FakeHeap heap;
    TestJit jit(heap);
    EXPECT_EQ(ECHO_BAD_ABSTRACT_OPERATION, jit.add_raw(text)) << text;
    EXPECT_NE(nullptr, std::strstr(jit.error.message, words)) << jit.error.message;
  }
}

/* --- what the refusals are for
 * --------------------------------------------------------------------------------------- */

constexpr uint64_t kValue = 123456789;

const std::string kMakeAndValue = R"(
define ptr addrspace(1) @make() noinline {
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store i64 123456789, ptr addrspace(1) %p
  ret ptr addrspace(1) %o
}
define i64 @value(ptr addrspace(1) %o) noinline {
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  %v = load i64, ptr addrspace(1) %p
  ret i64 %v
}
)";

/* Runs @f, which makes a box that holds kValue, collects, and reads it back. */
uint64_t run_without(uint32_t switches, const std::string& text, uint32_t optimise = 2,
                     void (*prepare)(TestJit& jit) = nullptr) {
  FakeHeap heap;
  TestJit jit(heap, optimise, switches);
  if (prepare != nullptr)
    prepare(jit);
  EXPECT_EQ(ECHO_OK, jit.add(kMakeAndValue + text)) << jit.error.message;
  heap.set_stress(true);
  return jit.call("f");
}

TEST(Switches, ReferenceInTheStackIsLost) {
  const char* const text = R"(
declare void @free(ptr)
define i64 @f() {
  %slot = alloca ptr addrspace(1)
  %o = call ptr addrspace(1) @make()
  store ptr addrspace(1) %o, ptr %slot
  %hide = alloca ptr
  store volatile ptr %slot, ptr %hide
  %junk = call ptr addrspace(1) @make()
  %o1 = load ptr addrspace(1), ptr %slot
  %v = call i64 @value(ptr addrspace(1) %o1)
  ret i64 %v
})";
  EXPECT_NE(kValue, run_without(ECHO_JIT_ALLOW_REF_IN_STACK, text));
}

/* The address of a local struct and of a local array is known to more than loads and stores, so promotion to SSA
 * cannot take them apart. */
TEST(Switches, ReferenceInALocalStructIsLost) {
  const char* const text = R"(
define i64 @f() {
  %pair = alloca { i64, ptr addrspace(1) }
  %field = getelementptr { i64, ptr addrspace(1) }, ptr %pair, i64 0, i32 1
  %o = call ptr addrspace(1) @make()
  store ptr addrspace(1) %o, ptr %field
  %hide = alloca ptr
  store volatile ptr %pair, ptr %hide
  %junk = call ptr addrspace(1) @make()
  %o1 = load ptr addrspace(1), ptr %field
  %v = call i64 @value(ptr addrspace(1) %o1)
  ret i64 %v
})";
  for (uint32_t optimise : {0u, 2u})
    EXPECT_NE(kValue, run_without(ECHO_JIT_ALLOW_REF_IN_STACK, text, optimise));
}

TEST(Switches, ReferenceInALocalArrayIsLost) {
  const char* const text = R"(
@three = global i64 3
define i64 @f() {
  %table = alloca [4 x ptr addrspace(1)]
  %i = load volatile i64, ptr @three
  %element = getelementptr [4 x ptr addrspace(1)], ptr %table, i64 0, i64 %i
  %o = call ptr addrspace(1) @make()
  store ptr addrspace(1) %o, ptr %element
  %junk = call ptr addrspace(1) @make()
  %j = load volatile i64, ptr @three
  %again = getelementptr [4 x ptr addrspace(1)], ptr %table, i64 0, i64 %j
  %o1 = load ptr addrspace(1), ptr %again
  %v = call i64 @value(ptr addrspace(1) %o1)
  ret i64 %v
})";
  for (uint32_t optimise : {0u, 2u})
    EXPECT_NE(kValue, run_without(ECHO_JIT_ALLOW_REF_IN_STACK, text, optimise));
}

/* As a plain pointer the reference is in no stack map. Without optimisation, since O2 folds the two casts away. */
TEST(Switches, ReferenceAsAPlainPointerIsLost) {
  const char* const text = R"(
define i64 @f() {
  %o = call ptr addrspace(1) @make()
  %p = addrspacecast ptr addrspace(1) %o to ptr
  %junk = call ptr addrspace(1) @make()
  %o1 = addrspacecast ptr %p to ptr addrspace(1)
  %v = call i64 @value(ptr addrspace(1) %o1)
  ret i64 %v
})";
  EXPECT_NE(kValue, run_without(ECHO_JIT_ALLOW_ADDRSPACECAST, text, 0));
}

/* Thread-local storage for the program, in place of the C library's, which knows no thread-local variables of modules
 * that it did not load. The block is fresh for every address asked for: one word is all the program has. */
extern "C" void* echo_test_thread_word(void* index) {
  static thread_local uint64_t word = 0;
  static_cast<void>(index);
  return &word;
}

/* A thread-local variable has as many addresses as there are threads, so none of them can be registered as a root. */
TEST(Switches, ReferenceInAThreadLocalVariableIsLost) {
  const char* const text = R"(
@current = thread_local global ptr addrspace(1) null
define void @keep(ptr addrspace(1) %o) noinline {
  store ptr addrspace(1) %o, ptr @current
  ret void
}
define i64 @f() {
  %o = call ptr addrspace(1) @make()
  call void @keep(ptr addrspace(1) %o)
  %junk = call ptr addrspace(1) @make()
  %o1 = load ptr addrspace(1), ptr @current
  %v = call i64 @value(ptr addrspace(1) %o1)
  ret i64 %v
})";
  for (uint32_t optimise : {0u, 2u})
    EXPECT_NE(kValue, run_without(ECHO_JIT_ALLOW_THREAD_LOCAL, text, optimise, [](TestJit& jit) {
                jit.define("__tls_get_addr", reinterpret_cast<void*>(&echo_test_thread_word),
                           ECHO_JIT_SYMBOL_LEAF);
              }));
}

/* LLVM copies the mark to the statepoint, which is no call that could end a function: the module is broken. The
 * verifier sees it before code is generated; without the verifier, code generation would meet it. The same program
 * with a plain call finds its object. */
TEST(Switches, MustTailBreaksTheModule) {
  const auto text = [](const char* call) {
    return std::string(R"(
define i64 @last(ptr addrspace(1) %o, i64 %n) noinline {
  %junk = call ptr addrspace(1) @make()
  %v = call i64 @value(ptr addrspace(1) %o)
  ret i64 %v
}
define i64 @middle(ptr addrspace(1) %o, i64 %n) noinline {
  %r = )") +
           call + R"( i64 @last(ptr addrspace(1) %o, i64 %n)
  ret i64 %r
}
define i64 @f() {
  %o = call ptr addrspace(1) @make()
  %v = call i64 @middle(ptr addrspace(1) %o, i64 1)
  ret i64 %v
}
)";
  };
  for (uint32_t optimise : {0u, 2u}) {
    EXPECT_EQ(kValue, run_without(ECHO_JIT_ALLOW_MUSTTAIL, text("tail call"), optimise));
    FakeHeap heap;
    TestJit jit(heap, optimise, ECHO_JIT_ALLOW_MUSTTAIL);
    EXPECT_EQ(ECHO_CODEGEN_FAILED, jit.add(kMakeAndValue + text("musttail call")));
    /* From the verifier after lowering, if it runs, or from the code generator. */
    EXPECT_TRUE(std::strstr(jit.error.message, "musttail call must precede a ret") != nullptr ||
                std::strstr(jit.error.message, "cannot guarantee tail call") != nullptr)
        << jit.error.message;
  }
}

TEST(Switches, ReferenceInRawMemoryIsLost) {
  const char* const text = R"(
declare ptr @malloc(i64)
declare void @free(ptr)
define i64 @f() {
  %raw = call ptr @malloc(i64 8)
  %o = call ptr addrspace(1) @make()
  store ptr addrspace(1) %o, ptr %raw
  %junk = call ptr addrspace(1) @make()
  %o1 = load ptr addrspace(1), ptr %raw
  call void @free(ptr %raw)
  %v = call i64 @value(ptr addrspace(1) %o1)
  ret i64 %v
})";
  EXPECT_NE(kValue, run_without(ECHO_JIT_ALLOW_REF_IN_RAW, text, 0));
}

TEST(Switches, ReferenceAsIntegerIsLost) {
  const char* const text = R"(
define i64 @f() {
  %o = call ptr addrspace(1) @make()
  %i = ptrtoint ptr addrspace(1) %o to i64
  %junk = call ptr addrspace(1) @make()
  %o1 = inttoptr i64 %i to ptr addrspace(1)
  %v = call i64 @value(ptr addrspace(1) %o1)
  ret i64 %v
})";
  EXPECT_NE(kValue, run_without(ECHO_JIT_ALLOW_REF_AS_INTEGER, text, 0));
}

/* The copied reference becomes an integer that stays alive over the collection. */
TEST(Switches, ReferenceCopiedAsBytesIsLost) {
  const char* const text = R"(
declare void @llvm.memcpy.p1.p1.i64(ptr addrspace(1), ptr addrspace(1), i64, i1)
define i64 @f() {
  %a = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %o = call ptr addrspace(1) @make()
  %pa = getelementptr i8, ptr addrspace(1) %a, i64 8
  store ptr addrspace(1) %o, ptr addrspace(1) %pa
  %pa2 = getelementptr i8, ptr addrspace(1) %a, i64 16
  call void @llvm.memcpy.p1.p1.i64(ptr addrspace(1) %pa2, ptr addrspace(1) %pa, i64 8, i1 false)
  %b = call ptr addrspace(1) @echo.gc.new(ptr @node)
  %pb = getelementptr i8, ptr addrspace(1) %b, i64 8
  call void @llvm.memcpy.p1.p1.i64(ptr addrspace(1) %pb, ptr addrspace(1) %pa2, i64 8, i1 false)
  %o1 = load ptr addrspace(1), ptr addrspace(1) %pb
  %v = call i64 @value(ptr addrspace(1) %o1)
  ret i64 %v
})";
  EXPECT_NE(kValue, run_without(ECHO_JIT_ALLOW_REF_MEMCPY, text));
}

TEST(Switches, ReferenceInAnUnsupportedFrameIsLost) {
  const char* const text = R"(
declare void @free(ptr)
declare ptr @strcpy(ptr, ptr)
define i64 @g(i64 %n) noinline {
  %vla = alloca i8, i64 %n
  %big = alloca [32 x i8], align 64
  store volatile i8 0, ptr %vla
  store volatile i8 0, ptr %big
  %o = call ptr addrspace(1) @make()
  %junk = call ptr addrspace(1) @make()
  %v = call i64 @value(ptr addrspace(1) %o)
  ret i64 %v
}
define i64 @f() {
  %v = call i64 @g(i64 100)
  ret i64 %v
})";
  EXPECT_NE(kValue, run_without(ECHO_JIT_ALLOW_UNSUPPORTED_FRAME, text));
}

/* The same programs without what is refused find their object. */
TEST(Switches, ReferencesInValuesAreFound) {
  for (uint32_t optimise : {0u, 2u})
    EXPECT_EQ(kValue, run_without(0, R"(
define i64 @f() {
  %slot = alloca ptr addrspace(1)
  %o = call ptr addrspace(1) @make()
  store ptr addrspace(1) %o, ptr %slot
  %junk = call ptr addrspace(1) @make()
  %o1 = load ptr addrspace(1), ptr %slot
  %v = call i64 @value(ptr addrspace(1) %o1)
  ret i64 %v
})",
                                  optimise))
        << "promotion to SSA runs at every level [jit.order.1]";
}

/* A frame with only one of the two is walked. */
TEST(Switches, DynamicOrAlignedFramesAreWalked) {
  for (const char* slots : {"%s = alloca i8, i64 %n\n", "%s = alloca [32 x i8], align 64\n"})
    for (uint32_t optimise : {0u, 2u})
      EXPECT_EQ(kValue, run_without(0, std::string(R"(
define i64 @g(i64 %n) noinline {
)") + slots + R"(
  store volatile i8 0, ptr %s
  %o = call ptr addrspace(1) @make()
  %junk = call ptr addrspace(1) @make()
  %v = call i64 @value(ptr addrspace(1) %o)
  ret i64 %v
}
define i64 @f() {
  %v = call i64 @g(i64 100)
  ret i64 %v
})",
                                    optimise))
          << slots;
}

} // namespace
} // namespace echo::testing
