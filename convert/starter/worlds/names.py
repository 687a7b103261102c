"""Names for a world's definitions, drawn so that a name says nothing about what it names."""

from __future__ import annotations

import random

_WORDS = """\
add all any append apply area atom back balance band base beat bend big bind bit black block blue
bond book both box branch bud build call cap card cell chain check clean clear clip close code
coin cold collect color combine compile copy core cost count cover cross crop cut cycle dark data
deep depth dim double down draw drop dual dup eat echo edge elem empty end enter erase eval even
expand fall far fill find flag flat flatten flow fold fork frame free front full gain gate
get glue go grade grow half hand head heap height high hold hop index inner insert invert item
join keep key kind knot label lamp large last layer lead leaf left length level lift light line
link load lock long look loop low make mark mask merge mid mirror mix mode move name near neg next
node none norm odd off on open opp order out outer over pack pad pair part pass path peak pick
piece pile pipe place plain plus point pop pour prune pull push put rank rate ratio reach read red
reduce ren repeat rest rev reverse right ring rise rock roll room root rotate round row run scale
scan seal seed self send set shape shift short show shrink side sign single size skip slice slow
small snap sort span spin split square stack stage star start state stem step stick stop store
stretch sum swap switch tail take tall tip toggle token top total touch trace track tree trim turn
twice twist unit up use val view wait walk wall warm weight wide wind wrap yes zero zip
"""
_TYPES = """\
Tree Shape Color Node Term Expr Stack Queue Path Box Bag Chain Rope Word Form Move Signal Light
Day Suit Coin Level State Mode Card Code Bit Digit Num Peano Unary Binary Branch Bush Heap Forest
Seq Stream Snoc Vec Row Grid Cell Point Pair Rec Item Entry Wire Gate Circuit Prog Cmd Op Instr
Token Regex Lang Formula Logic Lit Clause Type Ty Kind Sort Piece Step Turn Side Dir Face Ring
Knot Link Net Graph Mark Tag Label Frame Layer Block Maybe Choice Either Both Result Answer
Weight Mass Size Time Clock Phase Season Fruit Animal Metal Stone Planet Rose Leafy Twig Spine
"""
_ONSETS = "b c d f g h k l m n p r s t v w z br ch cl dr fl gr kn pl qu sh sk sl st th tr"
_VOWELS = "a e i o u a e i o ai ea oo ou"
_ENDS = ["", "", "", "l", "m", "n", "p", "r", "s", "t", "x", "rk", "nd", "st"]
_RESERVED = (
    "end if then else let in do by at open on from with where fun have show match def instance "
    "theorem class structure inductive example axiom variable universe namespace section import "
    "return for try catch mut this nat prop type sort set_option max min nofun nomatch using infix "
    "prefix postfix notation macro syntax local scoped private public meta unsafe partial opaque "
    "abbrev deriving extends Type Sort Prop Nat List Bool Option Either true false not and or "
    "default admit sorry exact repeat all any all_goals next case rename unless"
)
_VARIABLES = {
    "data": "t s u r, x y z w, e e' d, a b c d, l r m k, t₁ t₂ t₃ t₄, c d e b, p q r s",
    "Nat": "n m k i, a b c d, x y z w, i j k n, m n p k",
    "List": "xs ys zs ws, l l' k ks, as bs cs ds, l₁ l₂ l₃ l₄, s t u v",
    "element": "x y z w, a b c d, v w u t",
    "function": "f g h k, g f h k, F G H K",
    "test": "p q r s, P Q R S",
}


class Names:
    """Draws names that a world does not have yet."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._words = _WORDS.split()
        self._types = _TYPES.split()
        self.taken: set[str] = set()

    def _syllables(self, count: int) -> str:
        draw = self._rng.choice
        return "".join(draw(_ONSETS.split()) + draw(_VOWELS.split()) for _ in range(count)) + draw(
            _ENDS
        )

    def _fresh(self, make: str) -> str:
        rng = self._rng
        for _ in range(100):
            style = rng.random()
            if make == "type":
                name = rng.choice(self._types) if style < 0.6 else self._syllables(2).title()
                if style > 0.9:
                    name = rng.choice(self._types) + rng.choice(self._types)
            elif style < 0.55:
                name = rng.choice(self._words)
            elif style < 0.75:
                name = self._syllables(rng.choice([1, 2, 2]))
            else:
                name = rng.choice(self._words) + rng.choice(self._words).title()
            if make == "predicate":
                name = name[0].upper() + name[1:]
            if name not in self.taken and name not in _RESERVED.split() and len(name) > 1:
                self.taken.add(name)
                return name
        raise ValueError("no more names")

    def type(self) -> str:
        return self._fresh("type")

    def predicate(self) -> str:
        return self._fresh("predicate")

    def word(self) -> str:
        """A name for a function, a constructor or a field."""
        return self._fresh("word")

    def variables(self, kind: str) -> list[str]:
        """Usual names for the variables of a statement, of one kind of type."""
        return self._rng.choice(_VARIABLES[kind].split(", ")).split()
