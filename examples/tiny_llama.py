"""Teach a Llama of a few thousand weights to count, save it, load it, and let it go on counting.

usage: python examples/tiny_llama.py FOLDER
"""

import sys

import torch

from dovetail import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

torch.manual_seed(0)
NUMBERS = 16
config = LlamaConfig(
    vocab_size=NUMBERS,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    max_position_embeddings=32,
    bos_token_id=0,
    eos_token_id=None,
)
model = LlamaForCausalLM(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
for _ in range(60):
    starts = torch.randint(NUMBERS, (16, 1))
    rows = (starts + torch.arange(12)) % NUMBERS
    loss = model(rows, labels=rows).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
print(f"loss after 60 steps: {loss.item():.3f}")

model.eval().save_pretrained(sys.argv[1])
loaded = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokens = loaded.generate(torch.tensor([[3, 4]]), max_new_tokens=6, do_sample=False)
print("3, 4, then:", *tokens[0, 2:].tolist())
assert tokens[0].tolist() == [3, 4, 5, 6, 7, 8, 9, 10]
