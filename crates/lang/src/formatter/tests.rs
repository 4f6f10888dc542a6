//! Scripts in, scripts in their usual form out.

use super::format;
use crate::syntax::parse;
use skep_ui::FileId;

fn formatted(text: &str) -> String {
    let parsed = parse(FileId(0), text);
    assert_eq!(parsed.diagnostics, [], "{text}");
    format(text, &parsed.script)
}

/// Formats, and checks that formatting again changes nothing.
fn settled(text: &str) -> String {
    let once = formatted(text);
    assert_eq!(formatted(&once), once, "{text}");
    once
}

#[test]
fn every_construct() {
    insta::assert_snapshot!(settled(
        r#"#!/usr/bin/env bpftrace
/* head
 * comment */
#include <linux/fs.h>
#define A  1 +   2
struct foo {   int a; // of C
  char b[3]; };
config={stack_mode=perf;/* why */max_strlen=64 // longer
}
import "x.bt";
let @m=lruhash(100);
// about the macro
macro foo($x,@m,y){$x+=1;@m[y]=$x;y+1}
fn f($a:int64,$b : uint8):int64{return $a+$b;}

BEGIN,END{printf("hi %s\n\x41",comm);// trailing
@x[1,2]=count();   @y++;$z=-1;



if($z>1&&pid==2){print(1)}else if($z==3){print(2);}else{print(3);}
}
kprobe:foo, // one
kretprobe:bar,tracepoint:a:b /pid==1&&comm!="x"/{
 for($kv:@m){print($kv);break;}
 for $i : 0..10 { continue; }
 while($a<10){$a++;}
 unroll((5)){print(1);}
 let $y:uint8=(uint8)1;let $q;
 $t=(1,"a",true);$r=(a=1,b=2);$u=$t.1;$v=(1,);$w=();
 $f=args.filename->x[3];
 $s=$a?$b:$c; $g = $a ?: 3;
 @h=hist(args.ret/1000);
 _ = foo($x);
 $c = (struct task_struct*)curtask; $d=*$c; $e=&$x; $n = - -1;
 $l = sizeof(struct foo)+offsetof(struct foo,a.b);
 $b={ print(1); 2 };
 $w = if ($a) {1} else {2};
 $o = { 1 };
 if comptime (1==1) { print(1); }
 if ($a) {} if (!$a) {} else {}
 { print(1); }
 return;
}
p=interval:s:1{exit();}

/* tail */
"#
    ));
}

#[test]
fn long_lines_are_broken() {
    insta::assert_snapshot!(settled(
        r#"begin {
@foo[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, ccccccccccccccccccccccccccc] = count();
$x = (aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, ccccccccccccccccccccccccccc);
if ($aaaaaaaaaaaaaaaaaaaaaaaaaaaa == 1 && $bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb == 2 || $ccccccccccccccccccccc == 3) { 1; }
$x = $aaaaaaaaaaaaaaaaaaaaaaaaaaaaa ? $bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb : $cccccccccccccccccccccccccccccc;
print(foo(bar(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb), ccccccccccccccccccccccccc));
$aaaaaaaaaaaaaaaaaaaaaaaaaa = $bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb + $cccccccccccccccccccccccccccccc * $dddddddddddddddd;
printf("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa %d %d\n", $aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, $bbbbbbbbbbbbb);
}"#
    ));
}

#[test]
fn every_comment_stays() {
    insta::assert_snapshot!(settled(
        "// a\n\n// b\nbegin // c\n{ // d\n print(/* e */ 1); // f\n /* g */ print(2 /* h */); /* i */ /* j */\n\
         if (1 /* k */) { /* l */ } // m\n else { // n\n print(1) // o\n}\n // p\n} // q\n\
         kprobe:f /* r */ /1/ { $x = { /* s */ 1 }; $y = { print(1); /* t */ 2 /* u */ }; /* v\n  w */ }\n// x"
    ));
}

#[test]
fn nothing_is_nothing() {
    assert_eq!(settled(""), "");
    assert_eq!(settled("// only\n"), "// only\n");
    assert_eq!(settled("begin{}"), "begin\n{}\n");
}

/// The letters of all comments, sorted: comments may move past each other's code, but none is lost.
fn comments(text: &str) -> Vec<String> {
    let parsed = parse(FileId(0), text);
    let words = |span: skep_ui::Span| {
        let text = text.get(span.range()).unwrap_or("");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut all: Vec<String> = parsed.script.comments.iter().map(|comment| words(comment.span)).collect();
    all.sort();
    all
}

/// A tree without places, parentheses around conditions, and the difference between a last statement
/// and a value.
fn shape(text: &str) -> Vec<String> {
    let parsed = parse(FileId(0), text);
    let tree = crate::syntax::print::script(&parsed.script, crate::syntax::print::Spans::Hide);
    let lines = tree.lines().map(str::trim).filter(|line| !matches!(*line, "paren" | "tail" | "do"));
    lines.map(str::to_owned).collect()
}

proptest::proptest! {
    /// Formatting settles at once, keeps every comment, and its result means the same.
    #[test]
    fn formatting_is_safe(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "$x = 1;", "@y[1, 2] = count();", "if ($x > 1) { print(1); }", "if ($x) { 1; } else if (2) { 2; } else { 3; }",
        "/* c */", "// line\n", "\n", "\n\n\n", "print((1, \"a\"));", "$z = $x ? 1 : 2 + 3 * 4;",
        "for $i : 0..10 { print($i); }", "while ($x < 10) { $x++; }", "unroll (3) { /* u */ print(1); }",
        "let $q : uint64 = (uint64)1;", "$b = { print(1); 2 };", "$c = if ($x) { 1 } else { 2 };",
        "printf(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa %d %d\\n\", /* in */ $x, sizeof(struct foo));",
        "$long = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa + (bbbbbbbbbbbbbbbbbbbbbbbbbbb * cccccccccccccccccccccccccc) /* d */;",
        "return;", "_ = f(1);", "{ print(2); }", "$r = (a=1, b=/* r */ 2);", "$p = *(struct s *)$x;", "delete(@y, (1, 2));",
    ]), 0..12)) {
        let text = format!("// head\nbegin, end /* h */ /pid/ {{ {} }}\n// tail", pieces.concat());
        let once = formatted(&text);
        proptest::prop_assert_eq!(&formatted(&once), &once, "{}", text);
        proptest::prop_assert_eq!(comments(&text), comments(&once), "{}\n{}", text, once);
        proptest::prop_assert_eq!(shape(&text), shape(&once), "{}\n{}", text, once);
    }
}
