"""Train a tokenizer on a book, give it a chat template, save it, load it, and prompt with it.

usage: python examples/train_tokenizer.py FOLDER
"""

import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from dovetail import PreTrainedTokenizerFast

TEMPLATE = """\
{%- for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""
ROLES = ["<|user|>", "<|assistant|>", "<|end|>"]

engine = Tokenizer(models.BPE())
engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
engine.decoder = decoders.ByteLevel()
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(
    vocab_size=800, special_tokens=ROLES, initial_alphabet=alphabet, show_progress=False
)
book = Path(__file__).parent / "data" / "alice.txt"
engine.train([str(book)], trainer)

made = PreTrainedTokenizerFast(tokenizer_object=engine, eos_token="<|end|>", chat_template=TEMPLATE)
made.save_pretrained(sys.argv[1])
tokenizer = PreTrainedTokenizerFast.from_pretrained(sys.argv[1])

question = [{"role": "user", "content": "Why is a raven like a writing-desk?"}]
prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
ids = tokenizer.apply_chat_template(question, add_generation_prompt=True)
print(prompt)
print(len(tokenizer), "tokens in the vocabulary,", len(ids), "in the prompt:")
print(tokenizer.convert_ids_to_tokens(ids))
assert tokenizer.decode(ids) == prompt
