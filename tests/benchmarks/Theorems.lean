import LlmSuggest

/-!
# Theorems that take several steps

They are about definitions of their own, which no library has lemmas about. `prove.py` has each of
them proved by `llmprove` and by Lean's own tactics. The constructor names are as people choose them.
-/

set_option llmsuggest.inBuild true
set_option linter.unusedVariables false

namespace Trees

inductive Tree where
  | leaf
  | node (l : Tree) (x : Nat) (r : Tree)

namespace Tree

def size : Tree → Nat
  | leaf => 0
  | node l _ r => l.size + 1 + r.size

def height : Tree → Nat
  | leaf => 0
  | node l _ r => max l.height r.height + 1

def mirror : Tree → Tree
  | leaf => leaf
  | node l x r => node r.mirror x l.mirror

def toList : Tree → List Nat
  | leaf => []
  | node l x r => l.toList ++ x :: r.toList

def total : Tree → Nat
  | leaf => 0
  | node l x r => l.total + x + r.total

def map (f : Nat → Nat) : Tree → Tree
  | leaf => leaf
  | node l x r => node (l.map f) (f x) (r.map f)

def leaves : Tree → Nat
  | leaf => 1
  | node l _ r => l.leaves + r.leaves

def flat : Tree → List Nat → List Nat
  | leaf, acc => acc
  | node l x r, acc => l.flat (x :: r.flat acc)

inductive Mem (a : Nat) : Tree → Prop where
  | here (l r : Tree) : Mem a (node l a r)
  | left (l r : Tree) (x : Nat) : Mem a l → Mem a (node l x r)
  | right (l r : Tree) (x : Nat) : Mem a r → Mem a (node l x r)

example (t : Tree) : t.mirror.mirror = t := by
  llmprove

example (t : Tree) : t.mirror.size = t.size := by
  llmprove

example (t : Tree) : t.mirror.height = t.height := by
  llmprove

example (t : Tree) : t.mirror.total = t.total := by
  llmprove

example (t : Tree) : t.toList.length = t.size := by
  llmprove

example (t : Tree) : t.mirror.toList = t.toList.reverse := by
  llmprove

example (t : Tree) : t.leaves = t.size + 1 := by
  llmprove

example (t : Tree) : t.map id = t := by
  llmprove

example (f g : Nat → Nat) (t : Tree) : (t.map f).map g = t.map (g ∘ f) := by
  llmprove

example (f : Nat → Nat) (t : Tree) : (t.map f).size = t.size := by
  llmprove

example (f : Nat → Nat) (t : Tree) : (t.map f).toList = t.toList.map f := by
  llmprove

example (f : Nat → Nat) (t : Tree) : (t.map f).mirror = t.mirror.map f := by
  llmprove

example (t : Tree) : t.height ≤ t.size := by
  llmprove

example (t : Tree) (acc : List Nat) : t.flat acc = t.toList ++ acc := by
  llmprove

example (t : Tree) : t.toList.sum = t.total := by
  llmprove

example (a : Nat) (t : Tree) (h : Mem a t) : Mem a t.mirror := by
  llmprove

example (a : Nat) (t : Tree) (h : Mem a t) : a ∈ t.toList := by
  llmprove

example (a : Nat) (t : Tree) (h : Mem a t) : a ≤ t.total := by
  llmprove

example (f : Nat → Nat) (a : Nat) (t : Tree) (h : Mem a t) : Mem (f a) (t.map f) := by
  llmprove

example (a : Nat) (t : Tree) (h : Mem a t) : 0 < t.size := by
  llmprove

end Tree

end Trees

namespace Numbers

inductive N where
  | zero
  | succ (n : N)

namespace N

def add : N → N → N
  | a, zero => a
  | a, succ b => succ (add a b)

def mul : N → N → N
  | _, zero => zero
  | a, succ b => add (mul a b) a

def double : N → N
  | zero => zero
  | succ n => succ (succ (double n))

def toNat : N → Nat
  | zero => 0
  | succ n => n.toNat + 1

def ofNat : Nat → N
  | 0 => zero
  | n + 1 => succ (ofNat n)

inductive Le : N → N → Prop where
  | refl (n : N) : Le n n
  | step (m n : N) : Le m n → Le m (succ n)

inductive Even : N → Prop where
  | zero : Even zero
  | step (n : N) : Even n → Even (succ (succ n))

example (n : N) : add zero n = n := by
  llmprove

example (m n : N) : add (succ m) n = succ (add m n) := by
  llmprove

example (a b c : N) : add (add a b) c = add a (add b c) := by
  llmprove

example (n : N) : mul zero n = zero := by
  llmprove

example (n : N) : add n (succ zero) = succ n := by
  llmprove

example (a b : N) : (add a b).toNat = a.toNat + b.toNat := by
  llmprove

example (a b : N) : (mul a b).toNat = a.toNat * b.toNat := by
  llmprove

example (n : N) : (double n).toNat = 2 * n.toNat := by
  llmprove

example (n : N) : ofNat n.toNat = n := by
  llmprove

example (n : Nat) : (ofNat n).toNat = n := by
  llmprove

example (n : N) : Even (double n) := by
  llmprove

example (m n : N) (hm : Even m) (hn : Even n) : Even (add m n) := by
  llmprove

example (n : N) (h : Even n) : ∃ m, n = double m := by
  llmprove

example (n : N) : Le zero n := by
  llmprove

example (m n : N) (h : Le m n) : Le (succ m) (succ n) := by
  llmprove

example (a b c : N) (h : Le a b) (h' : Le b c) : Le a c := by
  llmprove

example (m n : N) (h : Le m n) : m.toNat ≤ n.toNat := by
  llmprove

example (m n : N) : Le m (add m n) := by
  llmprove

example (a b : N) (h : a.toNat = b.toNat) : a = b := by
  llmprove

end N

end Numbers

namespace Sequences

inductive Seq (α : Type) where
  | nil
  | cons (x : α) (xs : Seq α)

namespace Seq

variable {α β : Type}

def app : Seq α → Seq α → Seq α
  | nil, ys => ys
  | cons x xs, ys => cons x (app xs ys)

def len : Seq α → Nat
  | nil => 0
  | cons _ xs => xs.len + 1

def snoc : Seq α → α → Seq α
  | nil, y => cons y nil
  | cons x xs, y => cons x (snoc xs y)

def rev : Seq α → Seq α
  | nil => nil
  | cons x xs => snoc xs.rev x

def revOnto : Seq α → Seq α → Seq α
  | nil, acc => acc
  | cons x xs, acc => revOnto xs (cons x acc)

def map (f : α → β) : Seq α → Seq β
  | nil => nil
  | cons x xs => cons (f x) (map f xs)

def filter (p : α → Bool) : Seq α → Seq α
  | nil => nil
  | cons x xs => if p x then cons x (filter p xs) else filter p xs

def total : Seq Nat → Nat
  | nil => 0
  | cons x xs => x + total xs

def totalOnto : Seq Nat → Nat → Nat
  | nil, n => n
  | cons x xs, n => totalOnto xs (n + x)

def toList : Seq α → List α
  | nil => []
  | cons x xs => x :: xs.toList

inductive All (p : α → Prop) : Seq α → Prop where
  | nil : All p nil
  | cons (x : α) (xs : Seq α) : p x → All p xs → All p (cons x xs)

example (xs : Seq α) : app xs nil = xs := by
  llmprove

example (xs ys zs : Seq α) : app (app xs ys) zs = app xs (app ys zs) := by
  llmprove

example (xs ys : Seq α) : (app xs ys).len = xs.len + ys.len := by
  llmprove

example (xs : Seq α) (y : α) : (snoc xs y).len = xs.len + 1 := by
  llmprove

example (xs : Seq α) (y : α) : snoc xs y = app xs (cons y nil) := by
  llmprove

example (xs : Seq α) (y : α) : (snoc xs y).rev = cons y xs.rev := by
  llmprove

example (f : α → β) (xs ys : Seq α) : map f (app xs ys) = app (map f xs) (map f ys) := by
  llmprove

example (f : α → β) (xs : Seq α) : (map f xs).len = xs.len := by
  llmprove

example (f : α → β) (xs : Seq α) (y : α) : map f (snoc xs y) = snoc (map f xs) (f y) := by
  llmprove

example (xs : Seq α) : map id xs = xs := by
  llmprove

example (p : α → Bool) (xs : Seq α) : (filter p xs).len ≤ xs.len := by
  llmprove

example (p : α → Bool) (xs : Seq α) : filter p (filter p xs) = filter p xs := by
  llmprove

example (p : α → Bool) (xs ys : Seq α) :
    filter p (app xs ys) = app (filter p xs) (filter p ys) := by
  llmprove

example (xs ys : Seq Nat) : total (app xs ys) = total xs + total ys := by
  llmprove

example (xs : Seq Nat) (n : Nat) : totalOnto xs n = n + total xs := by
  llmprove

example (xs acc : Seq α) : (revOnto xs acc).len = xs.len + acc.len := by
  llmprove

example (xs ys acc : Seq α) : revOnto (app xs ys) acc = revOnto ys (revOnto xs acc) := by
  llmprove

example (xs ys : Seq α) : (app xs ys).toList = xs.toList ++ ys.toList := by
  llmprove

example (xs : Seq α) (y : α) : (snoc xs y).toList = xs.toList ++ [y] := by
  llmprove

example (p : α → Prop) (xs ys : Seq α) (h : All p xs) (h' : All p ys) : All p (app xs ys) := by
  llmprove

example (p q : α → Prop) (pq : ∀ x, p x → q x) (xs : Seq α) (h : All p xs) : All q xs := by
  llmprove

example (p : α → Bool) (xs : Seq α) : All (fun x => p x = true) (filter p xs) := by
  llmprove

example (xs ys : Seq α) (h : app xs ys = nil) : xs = nil ∧ ys = nil := by
  llmprove

end Seq

end Sequences

namespace Expressions

inductive Term where
  | lit (n : Nat)
  | var (i : Nat)
  | plus (a b : Term)
  | times (a b : Term)

namespace Term

def eval (env : Nat → Nat) : Term → Nat
  | lit n => n
  | var i => env i
  | plus a b => a.eval env + b.eval env
  | times a b => a.eval env * b.eval env

def size : Term → Nat
  | lit _ => 1
  | var _ => 1
  | plus a b => a.size + b.size + 1
  | times a b => a.size + b.size + 1

def swap : Term → Term
  | lit n => lit n
  | var i => var i
  | plus a b => plus b.swap a.swap
  | times a b => times b.swap a.swap

def rename (f : Nat → Nat) : Term → Term
  | lit n => lit n
  | var i => var (f i)
  | plus a b => plus (a.rename f) (b.rename f)
  | times a b => times (a.rename f) (b.rename f)

def subst (s : Nat → Term) : Term → Term
  | lit n => lit n
  | var i => s i
  | plus a b => plus (a.subst s) (b.subst s)
  | times a b => times (a.subst s) (b.subst s)

inductive Closed : Term → Prop where
  | lit (n : Nat) : Closed (lit n)
  | plus (a b : Term) : Closed a → Closed b → Closed (plus a b)
  | times (a b : Term) : Closed a → Closed b → Closed (times a b)

example (env : Nat → Nat) (t : Term) : t.swap.eval env = t.eval env := by
  llmprove

example (t : Term) : t.swap.swap = t := by
  llmprove

example (t : Term) : t.swap.size = t.size := by
  llmprove

example (t : Term) : 0 < t.size := by
  llmprove

example (f : Nat → Nat) (env : Nat → Nat) (t : Term) :
    (t.rename f).eval env = t.eval (fun i => env (f i)) := by
  llmprove

example (t : Term) : t.subst var = t := by
  llmprove

example (s : Nat → Term) (env : Nat → Nat) (t : Term) :
    (t.subst s).eval env = t.eval (fun i => (s i).eval env) := by
  llmprove

example (t : Term) (h : Closed t) (s : Nat → Term) : t.subst s = t := by
  llmprove

example (t : Term) (h : Closed t) (e e' : Nat → Nat) : t.eval e = t.eval e' := by
  llmprove

example (t : Term) (h : Closed t) : Closed t.swap := by
  llmprove

end Term

end Expressions

namespace Predicates

inductive Even : Nat → Prop where
  | zero : Even 0
  | step (n : Nat) : Even n → Even (n + 2)

inductive Reach {α : Type} (r : α → α → Prop) : α → α → Prop where
  | refl (a : α) : Reach r a a
  | step (a b c : α) : r a b → Reach r b c → Reach r a c

inductive Sorted : List Nat → Prop where
  | nil : Sorted []
  | one (x : Nat) : Sorted [x]
  | cons (x y : Nat) (xs : List Nat) : x ≤ y → Sorted (y :: xs) → Sorted (x :: y :: xs)

example (n : Nat) (h : Even n) : n % 2 = 0 := by
  llmprove

example (m n : Nat) (hm : Even m) (hn : Even n) : Even (m + n) := by
  llmprove

example (n : Nat) : Even (2 * n) := by
  llmprove

example (n : Nat) (h : Even n) : ∃ k, n = 2 * k := by
  llmprove

example : ¬ Even 1 := by
  llmprove

example (α : Type) (r : α → α → Prop) (a b : α) (h : r a b) : Reach r a b := by
  llmprove

example (α : Type) (r : α → α → Prop) (a b c : α) (h : Reach r a b) (h' : Reach r b c) :
    Reach r a c := by
  llmprove

example (α : Type) (r : α → α → Prop) (a b c : α) (h : Reach r a b) (h' : r b c) :
    Reach r a c := by
  llmprove

example (α : Type) (r s : α → α → Prop) (rs : ∀ a b, r a b → s a b) (a b : α) (h : Reach r a b) :
    Reach s a b := by
  llmprove

example (x : Nat) (xs : List Nat) (h : Sorted (x :: xs)) : Sorted xs := by
  llmprove

end Predicates

namespace Counting

def double : Nat → Nat
  | 0 => 0
  | n + 1 => double n + 2

def sumTo : Nat → Nat
  | 0 => 0
  | n + 1 => sumTo n + (n + 1)

def power (a : Nat) : Nat → Nat
  | 0 => 1
  | n + 1 => power a n * a

def fact : Nat → Nat
  | 0 => 1
  | n + 1 => (n + 1) * fact n

def isEven : Nat → Bool
  | 0 => true
  | n + 1 => !isEven n

def count (a : Nat) : List Nat → Nat
  | [] => 0
  | x :: xs => if x = a then count a xs + 1 else count a xs

def double' : List Nat → List Nat
  | [] => []
  | x :: xs => x :: x :: double' xs

example (n : Nat) : double n = 2 * n := by
  llmprove

example (m n : Nat) : double (m + n) = double m + double n := by
  llmprove

example (n : Nat) : 2 * sumTo n = n * (n + 1) := by
  llmprove

example (a m n : Nat) : power a (m + n) = power a m * power a n := by
  llmprove

example (n : Nat) : power 1 n = 1 := by
  llmprove

example (n : Nat) : 0 < fact n := by
  llmprove

example (n : Nat) : isEven (double n) = true := by
  llmprove

example (n : Nat) : isEven (n + 2) = isEven n := by
  llmprove

example (a : Nat) (xs ys : List Nat) : count a (xs ++ ys) = count a xs + count a ys := by
  llmprove

example (a : Nat) (xs : List Nat) : count a xs ≤ xs.length := by
  llmprove

example (a : Nat) (xs : List Nat) : count a (double' xs) = 2 * count a xs := by
  llmprove

example (xs : List Nat) : (double' xs).length = 2 * xs.length := by
  llmprove

example (xs ys : List Nat) : double' (xs ++ ys) = double' xs ++ double' ys := by
  llmprove

end Counting

namespace Choices

inductive Dir where
  | north
  | east
  | south
  | west

namespace Dir

def turn : Dir → Dir
  | north => east
  | east => south
  | south => west
  | west => north

def back : Dir → Dir
  | north => south
  | east => west
  | south => north
  | west => east

def turns : Nat → Dir → Dir
  | 0, d => d
  | n + 1, d => turns n d.turn

example (d : Dir) : d.turn.turn = d.back := by
  llmprove

example (d : Dir) : d.turn.turn.turn.turn = d := by
  llmprove

example (d e : Dir) (h : d.turn = e.turn) : d = e := by
  llmprove

example (n : Nat) (d : Dir) : turns n d.turn = (turns n d).turn := by
  llmprove

example (m n : Nat) (d : Dir) : turns (m + n) d = turns n (turns m d) := by
  llmprove

end Dir

inductive Maybe (α : Type) where
  | none
  | some (a : α)

namespace Maybe

variable {α β γ : Type}

def bind : Maybe α → (α → Maybe β) → Maybe β
  | none, _ => none
  | some a, f => f a

def orElse : Maybe α → Maybe α → Maybe α
  | none, m => m
  | some a, _ => some a

example (m : Maybe α) (f : α → Maybe β) (g : β → Maybe γ) :
    (m.bind f).bind g = m.bind fun a => (f a).bind g := by
  llmprove

example (m : Maybe α) : m.bind some = m := by
  llmprove

example (a b c : Maybe α) : (a.orElse b).orElse c = a.orElse (b.orElse c) := by
  llmprove

example (a b : Maybe α) (h : a.orElse b = none) : a = none ∧ b = none := by
  llmprove

end Maybe

end Choices
