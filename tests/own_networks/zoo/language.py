"""Models of language and speech from transformers: encoders, decoders, and both together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.declaration import Lesson, OwnNetwork

WORDS, LENGTH, CLASSES = 32, 8, 3
START = 1
_SIZE: dict[str, Any] = {
    "vocab_size": WORDS, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 16, "pad_token_id": 0, "bos_token_id": START, "eos_token_id": 2,
}  # fmt: skip


def sentences(samples: int, seed: int = 0) -> Tensor:
    """Token ids (samples, LENGTH), none of them special."""
    return torch.randint(3, WORDS, (samples, LENGTH), generator=torch.Generator().manual_seed(seed))


def tokenised(samples: int) -> dict[str, Tensor]:
    """What a tokeniser returns: sentences of different lengths, padded with 0, and their mask."""
    lengths = 4 + torch.arange(samples) % (LENGTH - 3)
    mask = (torch.arange(LENGTH) < lengths.unsqueeze(1)).long()
    return {"input_ids": sentences(samples) * mask, "attention_mask": mask}


def spoken(samples: int) -> dict[str, Tensor]:
    """Spectrograms and the words said so far."""
    spectrograms = torch.randn(samples, 8, 20, generator=torch.Generator().manual_seed(0))
    return {"input_features": spectrograms, "decoder_input_ids": sentences(samples)}


def translated(samples: int) -> dict[str, Tensor]:
    """Sentences in one language, and in another, shifted by one place."""
    inputs = tokenised(samples)
    shifted = torch.cat([torch.full((samples, 1), START), sentences(samples, 1)[:, :-1]], 1)
    return {**inputs, "decoder_input_ids": shifted}


def token_loss(logits: Tensor, words: Tensor) -> Tensor:
    """Cross entropy of (N, T, words) on (N, T)."""
    return F.cross_entropy(logits.flatten(0, 1), words.flatten())


def _bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(**_SIZE, num_labels=CLASSES))


def _bert_tokens() -> nn.Module:
    from transformers import AutoConfig, AutoModelForTokenClassification

    return AutoModelForTokenClassification.from_config(AutoConfig.for_model("bert", **_SIZE, num_labels=CLASSES))


def _gpt2() -> nn.Module:
    from transformers import AutoConfig, AutoModelForCausalLM

    size = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16, "bos_token_id": START, "eos_token_id": 2}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", vocab_size=WORDS, **size))


def _llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(**_SIZE, num_key_value_heads=1))


def _t5(feed_forward: str) -> nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    size = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": START}
    return T5ForConditionalGeneration(T5Config(vocab_size=WORDS, feed_forward_proj=feed_forward, **size))


def _whisper() -> nn.Module:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    size = {
        "num_mel_bins": 8, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "d_model": 16,
        "max_source_positions": 10, "max_target_positions": 16, "pad_token_id": 0, "bos_token_id": START,
        "eos_token_id": 2, "decoder_start_token_id": START,
    }  # fmt: skip
    return WhisperForConditionalGeneration(WhisperConfig(vocab_size=WORDS, **size))


_CLASSIFIED = Lesson(lambda samples: (tokenised(samples), torch.arange(samples) % CLASSES))
_TAGGED = Lesson(lambda samples: (tokenised(samples), sentences(samples) % CLASSES), token_loss)
_CONTINUED = Lesson(lambda samples: ({"input_ids": sentences(samples)}, sentences(samples).roll(-1, 1)), token_loss)
_PADDED = Lesson(lambda samples: (tokenised(samples), sentences(samples).roll(-1, 1)), token_loss)
_TRANSLATED = Lesson(lambda samples: (translated(samples), sentences(samples, 1)), token_loss)
_WRITTEN = Lesson(lambda samples: (spoken(samples), sentences(samples, 1)), token_loss)

LANGUAGE = (
    OwnNetwork(
        "bert",
        "transformers BertForSequenceClassification",
        _bert,
        lambda: tokenised(4),
        {
            "bert.encoder.layer.#.intermediate.intermediate_act_fn": (2, "GELUActivation"),
            "bert.pooler.activation": (1, "Tanh"),  # the classifier stands behind it: no output
        },
        _CLASSIFIED,
    ),
    OwnNetwork(
        "bert_tokens",
        "transformers BertForTokenClassification",
        _bert_tokens,
        lambda: tokenised(4),
        {"bert.encoder.layer.#.intermediate.intermediate_act_fn": (2, "GELUActivation")},
        _TAGGED,
    ),
    OwnNetwork(
        "gpt2",
        "transformers GPT2LMHeadModel",
        _gpt2,
        lambda: {"input_ids": sentences(4)},
        {"transformer.h.#.mlp.act": (2, "NewGELUActivation")},
        _CONTINUED,
    ),
    OwnNetwork(  # SwiGLU
        "llama",
        "transformers LlamaForCausalLM",
        _llama,
        lambda: tokenised(4),
        {"model.layers.#.mlp.act_fn": (2, "SiLUActivation")},
        _PADDED,
    ),
    OwnNetwork(
        "t5",
        "transformers T5ForConditionalGeneration",
        lambda: _t5("relu"),
        lambda: translated(4),
        {
            "encoder.block.#.layer.#.DenseReluDense.act": (2, "ReLU"),
            "decoder.block.#.layer.#.DenseReluDense.act": (2, "ReLU"),
        },
        _TRANSLATED,
    ),
    OwnNetwork(  # GEGLU
        "t5_gated",
        "transformers T5ForConditionalGeneration, version 1.1",
        lambda: _t5("gated-gelu"),
        lambda: translated(4),
        {
            "encoder.block.#.layer.#.DenseReluDense.act": (2, "NewGELUActivation"),
            "decoder.block.#.layer.#.DenseReluDense.act": (2, "NewGELUActivation"),
        },
        _TRANSLATED,
    ),
    OwnNetwork(
        "whisper",
        "transformers WhisperForConditionalGeneration",
        _whisper,
        lambda: spoken(4),
        {
            "model.encoder.layers.#.activation_fn": (2, "GELUActivation"),
            "model.decoder.layers.#.activation_fn": (2, "GELUActivation"),
        },
        _WRITTEN,
        left={
            "model.encoder": (1, "its source calls gelu: make it a module of its own")
        },  # `F.gelu` behind two convolutions, after a decision about lengths
    ),
)
