"""Trains the starter's tokenizer: byte-level BPE that needs few tokens for Lean's symbols."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from llmsuggestd.formats import LLMSTEP

from .examples import Example

END = "<|endoftext|>"
CONTEXT = 1024

# Text of goals that are unlike our templates. Each line has the weight of a common sample.
SYMBOLS = """\
⊢ ∀ ∃ ∃! λ → ← ↔ ↦ ⟨ ⟩ ⟨⟩ ∧ ∨ ¬ ≠ ≤ ≥ < > = ∣ ∈ ∉ ⊆ ⊂ ⊇ ∪ ∩ ∅ × ∘ • · ▸ ↑ ⇑ ⁻¹ ∑ ∏ ∫ √ ∞ ∂ ⊤ ⊥ \
⊓ ⊔ ≃ ≅ ≈ ∼ ≡ ⟶ ⥤ ⊕ ⊗ ‖ ∥ ⌊ ⌋ ⌈ ⌉
ℕ ℤ ℚ ℝ ℂ 𝕜 α β γ δ ε ζ η θ ι κ μ ν ξ π ρ σ τ φ χ ψ ω Γ Δ Θ Λ Π Σ Φ Ψ Ω
h₀ h₁ h₂ h₃ h₄ h₅ x₁ x₂ x₃ a₁ a₂ l₁ l₂ xₙ x₀ n✝ h✝ a✝ x✝ inst✝ inst✝¹ inst✝² inst✝³ ih✝ α✝ β✝
α : Type u_1
β : Type u_2
inst✝ : Group G
inst✝¹ : CommRing R
inst✝ : TopologicalSpace α
inst✝ : DecidableEq α
f : ℕ → ℕ
f g : ℝ → ℝ
s t : Set α
hs : s ⊆ t
x y z : ℝ
m n k : ℕ
a b c : ℤ
case h.left
case zero
case succ
case inl
case inr
case mp
case mpr
case cons
case nil
⊢ ∀ (ε : ℝ), ε > 0 → ∃ δ > 0, ∀ (x : ℝ), |x - a| < δ → |f x - f a| < ε
⊢ Monotone f → ∀ (n : ℕ), f n ≤ f (n + 1)
h : Monotone f
⊢ f n ≤ f (n + 1)
r s t : Set α
hrs : r ⊆ s
hst : s ⊆ t
hxr : x ∈ r
⊢ x ∈ s ∪ t
⊢ s ∩ t ⊆ s
⊢ Function.Injective (g ∘ f)
⊢ a * b = b * a
⊢ (a + b) ^ 2 = a ^ 2 + 2 * a * b + b ^ 2
⊢ ∑ i ∈ Finset.range (n + 1), i = n * (n + 1) / 2
⊢ Continuous fun x => f x + g x
hf : Function.Injective f
hg : Function.Surjective g
exact rw simp simp_all simpa using apply intro intros rintro rcases obtain cases induction with
constructor refine have show calc by_cases by_contra exfalso contradiction assumption trivial rfl
norm_num ring ring_nf nlinarith linarith positivity field_simp omega decide aesop tauto push_cast
norm_cast ext funext congr subst symm left right use exists unfold split specialize contrapose
Nat.add_comm Nat.succ_le Int.add_assoc Finset.sum_congr Set.mem_setOf_eq mul_comm add_assoc
List.append_assoc Function.comp Iff.intro And.intro Or.inl Or.inr Eq.symm absurd False.elim
"""

# Parts of the library's names. The pre-tokenizer makes each a separate word.
WORDS = """\
add mul sub div neg inv pow succ pred zero one two le lt ge gt eq ne iff mem union inter subset
comm assoc left right cancel self refl symm trans antisymm total irrefl congr map comp id cast abs
max min sup inf sum prod range card length append reverse cons nil head tail filter take drop join
bind fold zip replicate get set insert erase find count all any of to from with by at in fun let
have this not and or true false none some pair fst snd val prop type sort nat int rat real complex
bool list array option string char fin finset multiset function injective surjective bijective
inverse image preimage monotone antitone strict mono continuous differentiable deriv integral
measurable measure metric dist norm ball open closed compact connected bounded limit tendsto
filter nhds at_top eventually seq cauchy group ring field module algebra ideal order lattice
category functor natural hom iso equiv end object topological space vector linear matrix trace
det rank span basis polynomial degree root eval coeff prime dvd gcd lcm mod even odd coprime
factorial choose exp log sqrt sin cos pi nonneg nonzero pos bot top empty univ singleton compl diff
disjoint finite infinite countable encodable decidable classical choice exists forall intro elim
cases rec induction ext subst mk inj inl inr decide omega simp ring linarith nlinarith norm num
positivity aesop tauto field cast push pull contra constructor exact apply refine rw rfl show
calc conv change use obtain rcases rintro specialize generalize revert clear unfold fold delta
trivial tendsto summable hasSum hasDerivAt differentiableAt continuousAt continuousOn
Nat Int Rat Real Complex List Array Set Finset Function Prop Type Sort Option Bool Fin Subtype
Sigma Prod Sum Unit Empty String Char Eq Ne HEq And Or Not Iff Exists True False Classical Monotone
Antitone StrictMono Injective Surjective Bijective Continuous Differentiable Measurable Group Ring
Field CommRing CommGroup AddCommGroup Module Algebra Ideal Submodule Subgroup LinearMap Matrix
Polynomial TopologicalSpace MetricSpace NormedSpace Filter Tendsto Even Odd Prime Coprime Finite
Fintype Decidable Inhabited Nonempty Lattice PartialOrder LinearOrder Preorder Category Functor
toArray toList dvd size div toNat length ofNat getElem toInt filterMap replicate singleton
contains min beq bmod getD cancel msb imp shiftLeft erase extract xor natAbs getLsbD val bind pure
tdiv drop rco fdiv foldl lcm count fmod flatten ite isEmpty modify compare roc forIn setWidth
flatMap rcc toFin mapM foldr getMsbD eraseIdx roo toBitVec attach attachWith zip concat sublist
ofBitVec pmap decide countP head natCast swap shiftRight isSome toListRev rio foldlM tmod ofFin
unattach perm dec step toUSize getKeyD tail negSucc nonpos eraseP ric merge ofInt getKey isLE
testBit mapIdx getLast zipWith dite filterMapM sign keys run mapFinIdx zipIdx pairwise apply isGE
prefix findIdx guard foldrM uInt insertMany alter intMin insertIfNew isize cond subset isSuffix
fold last sshiftRight suffix takeWhile offset ofList fst snd inter split copy intCast insertIdx
lift pbind castSucc replace dropLast const num umod allOnes extractLsb den isNone inv coprime udiv
dropWhile diff eval bne twoPow iter divInt rel smul forM abs anyM foldM equiv bool str trans next
rev pop shift finite subtype toRat prop mono inr inl byte refl go yield log ofFn unzip back
entails congr finRange lookup mergeSort subNatNat sum addNat slt sle ult ule rotateLeft
emptyWithCapacity filterM orElse antisymm elem dot srem iterM heq combine castAdd idxOf zipWithAll
isEq seq sizeOf stop start isEqv isGT isLT endPos BitVec UInt8 UInt16 UInt32 UInt64 USize Int8
Int64 HashMap TreeMap Vector Subarray Ordering Except StateT ReaderT OptionT Id Function
LawfulMonad DecidableEq BEq Hashable Ord LawfulBEq Std Nat Int
"""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn the merges from the training texts, and from `SYMBOLS` and `WORDS`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = WORDS.split()
    others = [*(SYMBOLS.splitlines() * 40), *words, *(" " + word for word in words)]
    tokenizer.train_from_iterator([*texts, *others], trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END,
        "eos_token": END,
        "unk_token": END,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT,
    }
    text = json.dumps(settings, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def texts(examples: Iterable[Example]) -> Iterable[str]:
    """The texts of training examples from which the tokenizer learns."""
    for example in examples:
        yield LLMSTEP.text(example.goal)
        yield from example.steps
