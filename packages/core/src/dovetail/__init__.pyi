# Written by scripts/public_stub.py (`make docs`); names come from dovetail/names.py and from what
# the official packages declare.

__version__: str

# dovetail

from dovetail.auto import AutoBackbone as AutoBackbone
from dovetail.auto import AutoConfig as AutoConfig
from dovetail.auto import AutoFeatureExtractor as AutoFeatureExtractor
from dovetail.auto import AutoImageProcessor as AutoImageProcessor
from dovetail.auto import AutoModel as AutoModel
from dovetail.auto import AutoModelForAudioClassification as AutoModelForAudioClassification
from dovetail.auto import AutoModelForAudioFrameClassification as AutoModelForAudioFrameClassification
from dovetail.auto import AutoModelForAudioXVector as AutoModelForAudioXVector
from dovetail.auto import AutoModelForCTC as AutoModelForCTC
from dovetail.auto import AutoModelForCausalLM as AutoModelForCausalLM
from dovetail.auto import AutoModelForDepthEstimation as AutoModelForDepthEstimation
from dovetail.auto import AutoModelForDocumentQuestionAnswering as AutoModelForDocumentQuestionAnswering
from dovetail.auto import AutoModelForImageClassification as AutoModelForImageClassification
from dovetail.auto import AutoModelForImageSegmentation as AutoModelForImageSegmentation
from dovetail.auto import AutoModelForImageTextToText as AutoModelForImageTextToText
from dovetail.auto import AutoModelForImageToImage as AutoModelForImageToImage
from dovetail.auto import AutoModelForInstanceSegmentation as AutoModelForInstanceSegmentation
from dovetail.auto import AutoModelForKeypointDetection as AutoModelForKeypointDetection
from dovetail.auto import AutoModelForMaskGeneration as AutoModelForMaskGeneration
from dovetail.auto import AutoModelForMaskedImageModeling as AutoModelForMaskedImageModeling
from dovetail.auto import AutoModelForMaskedLM as AutoModelForMaskedLM
from dovetail.auto import AutoModelForMultipleChoice as AutoModelForMultipleChoice
from dovetail.auto import AutoModelForNextSentencePrediction as AutoModelForNextSentencePrediction
from dovetail.auto import AutoModelForObjectDetection as AutoModelForObjectDetection
from dovetail.auto import AutoModelForPreTraining as AutoModelForPreTraining
from dovetail.auto import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
from dovetail.auto import AutoModelForSemanticSegmentation as AutoModelForSemanticSegmentation
from dovetail.auto import AutoModelForSeq2SeqLM as AutoModelForSeq2SeqLM
from dovetail.auto import AutoModelForSequenceClassification as AutoModelForSequenceClassification
from dovetail.auto import AutoModelForSpeechSeq2Seq as AutoModelForSpeechSeq2Seq
from dovetail.auto import AutoModelForTableQuestionAnswering as AutoModelForTableQuestionAnswering
from dovetail.auto import AutoModelForTextEncoding as AutoModelForTextEncoding
from dovetail.auto import AutoModelForTextToSpectrogram as AutoModelForTextToSpectrogram
from dovetail.auto import AutoModelForTextToWaveform as AutoModelForTextToWaveform
from dovetail.auto import AutoModelForTokenClassification as AutoModelForTokenClassification
from dovetail.auto import AutoModelForUniversalSegmentation as AutoModelForUniversalSegmentation
from dovetail.auto import AutoModelForVideoClassification as AutoModelForVideoClassification
from dovetail.auto import AutoModelForVision2Seq as AutoModelForVision2Seq
from dovetail.auto import AutoModelForVisualQuestionAnswering as AutoModelForVisualQuestionAnswering
from dovetail.auto import AutoModelForZeroShotImageClassification as AutoModelForZeroShotImageClassification
from dovetail.auto import AutoModelForZeroShotObjectDetection as AutoModelForZeroShotObjectDetection
from dovetail.auto import AutoModelWithLMHead as AutoModelWithLMHead
from dovetail.auto import AutoProcessor as AutoProcessor
from dovetail.auto import AutoTokenizer as AutoTokenizer
from dovetail.auto import CONFIG_MAPPING as CONFIG_MAPPING
from dovetail.auto import FEATURE_EXTRACTOR_MAPPING as FEATURE_EXTRACTOR_MAPPING
from dovetail.auto import IMAGE_PROCESSOR_MAPPING as IMAGE_PROCESSOR_MAPPING
from dovetail.auto import MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING as MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING
from dovetail.auto import MODEL_FOR_AUDIO_FRAME_CLASSIFICATION_MAPPING as MODEL_FOR_AUDIO_FRAME_CLASSIFICATION_MAPPING
from dovetail.auto import MODEL_FOR_AUDIO_XVECTOR_MAPPING as MODEL_FOR_AUDIO_XVECTOR_MAPPING
from dovetail.auto import MODEL_FOR_BACKBONE_MAPPING as MODEL_FOR_BACKBONE_MAPPING
from dovetail.auto import MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING as MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING
from dovetail.auto import MODEL_FOR_CAUSAL_LM_MAPPING as MODEL_FOR_CAUSAL_LM_MAPPING
from dovetail.auto import MODEL_FOR_CTC_MAPPING as MODEL_FOR_CTC_MAPPING
from dovetail.auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING as MODEL_FOR_DEPTH_ESTIMATION_MAPPING
from dovetail.auto import MODEL_FOR_DOCUMENT_QUESTION_ANSWERING_MAPPING as MODEL_FOR_DOCUMENT_QUESTION_ANSWERING_MAPPING
from dovetail.auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING as MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING
from dovetail.auto import MODEL_FOR_IMAGE_MAPPING as MODEL_FOR_IMAGE_MAPPING
from dovetail.auto import MODEL_FOR_IMAGE_SEGMENTATION_MAPPING as MODEL_FOR_IMAGE_SEGMENTATION_MAPPING
from dovetail.auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING as MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from dovetail.auto import MODEL_FOR_IMAGE_TO_IMAGE_MAPPING as MODEL_FOR_IMAGE_TO_IMAGE_MAPPING
from dovetail.auto import MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING as MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING
from dovetail.auto import MODEL_FOR_KEYPOINT_DETECTION_MAPPING as MODEL_FOR_KEYPOINT_DETECTION_MAPPING
from dovetail.auto import MODEL_FOR_MASKED_IMAGE_MODELING_MAPPING as MODEL_FOR_MASKED_IMAGE_MODELING_MAPPING
from dovetail.auto import MODEL_FOR_MASKED_LM_MAPPING as MODEL_FOR_MASKED_LM_MAPPING
from dovetail.auto import MODEL_FOR_MASK_GENERATION_MAPPING as MODEL_FOR_MASK_GENERATION_MAPPING
from dovetail.auto import MODEL_FOR_MULTIPLE_CHOICE_MAPPING as MODEL_FOR_MULTIPLE_CHOICE_MAPPING
from dovetail.auto import MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING as MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING
from dovetail.auto import MODEL_FOR_OBJECT_DETECTION_MAPPING as MODEL_FOR_OBJECT_DETECTION_MAPPING
from dovetail.auto import MODEL_FOR_PRETRAINING_MAPPING as MODEL_FOR_PRETRAINING_MAPPING
from dovetail.auto import MODEL_FOR_QUESTION_ANSWERING_MAPPING as MODEL_FOR_QUESTION_ANSWERING_MAPPING
from dovetail.auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING as MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING
from dovetail.auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING as MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
from dovetail.auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING as MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
from dovetail.auto import MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING as MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING
from dovetail.auto import MODEL_FOR_TABLE_QUESTION_ANSWERING_MAPPING as MODEL_FOR_TABLE_QUESTION_ANSWERING_MAPPING
from dovetail.auto import MODEL_FOR_TEXT_ENCODING_MAPPING as MODEL_FOR_TEXT_ENCODING_MAPPING
from dovetail.auto import MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING as MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING
from dovetail.auto import MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING as MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING
from dovetail.auto import MODEL_FOR_TIME_SERIES_CLASSIFICATION_MAPPING as MODEL_FOR_TIME_SERIES_CLASSIFICATION_MAPPING
from dovetail.auto import MODEL_FOR_TIME_SERIES_REGRESSION_MAPPING as MODEL_FOR_TIME_SERIES_REGRESSION_MAPPING
from dovetail.auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING as MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING
from dovetail.auto import MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING as MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING
from dovetail.auto import MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING as MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING
from dovetail.auto import MODEL_FOR_VISION_2_SEQ_MAPPING as MODEL_FOR_VISION_2_SEQ_MAPPING
from dovetail.auto import MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING as MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING
from dovetail.auto import MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING as MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING
from dovetail.auto import MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING as MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING
from dovetail.auto import MODEL_MAPPING as MODEL_MAPPING
from dovetail.auto import MODEL_NAMES_MAPPING as MODEL_NAMES_MAPPING
from dovetail.auto import MODEL_WITH_LM_HEAD_MAPPING as MODEL_WITH_LM_HEAD_MAPPING
from dovetail.auto import PROCESSOR_MAPPING as PROCESSOR_MAPPING
from dovetail.auto import TOKENIZER_MAPPING as TOKENIZER_MAPPING
from dovetail.availability import is_apex_available as is_apex_available
from dovetail.availability import is_av_available as is_av_available
from dovetail.availability import is_bitsandbytes_available as is_bitsandbytes_available
from dovetail.availability import is_datasets_available as is_datasets_available
from dovetail.availability import is_decord_available as is_decord_available
from dovetail.availability import is_faiss_available as is_faiss_available
from dovetail.availability import is_flax_available as is_flax_available
from dovetail.availability import is_keras_nlp_available as is_keras_nlp_available
from dovetail.availability import is_phonemizer_available as is_phonemizer_available
from dovetail.availability import is_psutil_available as is_psutil_available
from dovetail.availability import is_py3nvml_available as is_py3nvml_available
from dovetail.availability import is_pyctcdecode_available as is_pyctcdecode_available
from dovetail.availability import is_sacremoses_available as is_sacremoses_available
from dovetail.availability import is_safetensors_available as is_safetensors_available
from dovetail.availability import is_scipy_available as is_scipy_available
from dovetail.availability import is_sentencepiece_available as is_sentencepiece_available
from dovetail.availability import is_sklearn_available as is_sklearn_available
from dovetail.availability import is_speech_available as is_speech_available
from dovetail.availability import is_tensorflow_text_available as is_tensorflow_text_available
from dovetail.availability import is_tf_available as is_tf_available
from dovetail.availability import is_timm_available as is_timm_available
from dovetail.availability import is_tokenizers_available as is_tokenizers_available
from dovetail.availability import is_torch_available as is_torch_available
from dovetail.availability import is_torch_mlu_available as is_torch_mlu_available
from dovetail.availability import is_torch_musa_available as is_torch_musa_available
from dovetail.availability import is_torch_neuroncore_available as is_torch_neuroncore_available
from dovetail.availability import is_torch_npu_available as is_torch_npu_available
from dovetail.availability import is_torch_tpu_available as is_torch_tpu_available
from dovetail.availability import is_torch_xla_available as is_torch_xla_available
from dovetail.availability import is_torch_xpu_available as is_torch_xpu_available
from dovetail.availability import is_torchvision_available as is_torchvision_available
from dovetail.availability import is_vision_available as is_vision_available
from dovetail.caches import Cache as Cache
from dovetail.caches import DynamicCache as DynamicCache
from dovetail.caches import EncoderDecoderCache as EncoderDecoderCache
from dovetail.caches import HybridCache as HybridCache
from dovetail.caches import SlidingWindowCache as SlidingWindowCache
from dovetail.caches import StaticCache as StaticCache
from dovetail.config_values import CONFIG_NAME as CONFIG_NAME
from dovetail.configs import PretrainedConfig as PretrainedConfig
from dovetail.declarations import AttentionDeclaration as AttentionDeclaration
from dovetail.declarations import CallbackDeclaration as CallbackDeclaration
from dovetail.declarations import CommandDeclaration as CommandDeclaration
from dovetail.declarations import ConverterDeclaration as ConverterDeclaration
from dovetail.declarations import EngineDeclaration as EngineDeclaration
from dovetail.declarations import ModelDeclaration as ModelDeclaration
from dovetail.declarations import NamesDeclaration as NamesDeclaration
from dovetail.declarations import PipelineDeclaration as PipelineDeclaration
from dovetail.declarations import QuantizerDeclaration as QuantizerDeclaration
from dovetail.declarations import StrategyDeclaration as StrategyDeclaration
from dovetail.declarations import ToolDeclaration as ToolDeclaration
from dovetail.declarations import family as family
from dovetail.generation import AsyncTextIteratorStreamer as AsyncTextIteratorStreamer
from dovetail.generation import BaseStreamer as BaseStreamer
from dovetail.generation import BeamScorer as BeamScorer
from dovetail.generation import BeamSearchScorer as BeamSearchScorer
from dovetail.generation import ClassifierFreeGuidanceLogitsProcessor as ClassifierFreeGuidanceLogitsProcessor
from dovetail.generation import EncoderNoRepeatNGramLogitsProcessor as EncoderNoRepeatNGramLogitsProcessor
from dovetail.generation import EncoderRepetitionPenaltyLogitsProcessor as EncoderRepetitionPenaltyLogitsProcessor
from dovetail.generation import EosTokenCriteria as EosTokenCriteria
from dovetail.generation import EpsilonLogitsWarper as EpsilonLogitsWarper
from dovetail.generation import EtaLogitsWarper as EtaLogitsWarper
from dovetail.generation import ExponentialDecayLengthPenalty as ExponentialDecayLengthPenalty
from dovetail.generation import ForcedBOSTokenLogitsProcessor as ForcedBOSTokenLogitsProcessor
from dovetail.generation import ForcedEOSTokenLogitsProcessor as ForcedEOSTokenLogitsProcessor
from dovetail.generation import GenerationConfig as GenerationConfig
from dovetail.generation import GenerationMixin as GenerationMixin
from dovetail.generation import HammingDiversityLogitsProcessor as HammingDiversityLogitsProcessor
from dovetail.generation import InfNanRemoveLogitsProcessor as InfNanRemoveLogitsProcessor
from dovetail.generation import LogitNormalization as LogitNormalization
from dovetail.generation import LogitsProcessor as LogitsProcessor
from dovetail.generation import LogitsProcessorList as LogitsProcessorList
from dovetail.generation import LogitsWarper as LogitsWarper
from dovetail.generation import MaxLengthCriteria as MaxLengthCriteria
from dovetail.generation import MaxTimeCriteria as MaxTimeCriteria
from dovetail.generation import MinLengthLogitsProcessor as MinLengthLogitsProcessor
from dovetail.generation import MinNewTokensLengthLogitsProcessor as MinNewTokensLengthLogitsProcessor
from dovetail.generation import MinPLogitsWarper as MinPLogitsWarper
from dovetail.generation import NoBadWordsLogitsProcessor as NoBadWordsLogitsProcessor
from dovetail.generation import NoRepeatNGramLogitsProcessor as NoRepeatNGramLogitsProcessor
from dovetail.generation import PrefixConstrainedLogitsProcessor as PrefixConstrainedLogitsProcessor
from dovetail.generation import RepetitionPenaltyLogitsProcessor as RepetitionPenaltyLogitsProcessor
from dovetail.generation import SequenceBiasLogitsProcessor as SequenceBiasLogitsProcessor
from dovetail.generation import StopStringCriteria as StopStringCriteria
from dovetail.generation import StoppingCriteria as StoppingCriteria
from dovetail.generation import StoppingCriteriaList as StoppingCriteriaList
from dovetail.generation import SuppressTokensAtBeginLogitsProcessor as SuppressTokensAtBeginLogitsProcessor
from dovetail.generation import SuppressTokensLogitsProcessor as SuppressTokensLogitsProcessor
from dovetail.generation import TemperatureLogitsWarper as TemperatureLogitsWarper
from dovetail.generation import TextIteratorStreamer as TextIteratorStreamer
from dovetail.generation import TextStreamer as TextStreamer
from dovetail.generation import TopKLogitsWarper as TopKLogitsWarper
from dovetail.generation import TopPLogitsWarper as TopPLogitsWarper
from dovetail.generation import TypicalLogitsWarper as TypicalLogitsWarper
from dovetail.generation import UnbatchedClassifierFreeGuidanceLogitsProcessor as UnbatchedClassifierFreeGuidanceLogitsProcessor
from dovetail.hookspecs import hookimpl as hookimpl
from dovetail.hub import PushToHubMixin as PushToHubMixin
from dovetail.layers.projections import Conv1D as Conv1D
from dovetail.modeling import PreTrainedModel as PreTrainedModel
from dovetail.pipelines import CsvPipelineDataFormat as CsvPipelineDataFormat
from dovetail.pipelines import JsonPipelineDataFormat as JsonPipelineDataFormat
from dovetail.pipelines import PipedPipelineDataFormat as PipedPipelineDataFormat
from dovetail.pipelines import Pipeline as Pipeline
from dovetail.pipelines import PipelineDataFormat as PipelineDataFormat
from dovetail.pipelines import pipeline as pipeline
from dovetail.processors import BaseImageProcessor as BaseImageProcessor
from dovetail.processors import BatchFeature as BatchFeature
from dovetail.processors import FeatureExtractionMixin as FeatureExtractionMixin
from dovetail.processors import ImageProcessingMixin as ImageProcessingMixin
from dovetail.processors import ProcessorMixin as ProcessorMixin
from dovetail.processors import SequenceFeatureExtractor as SequenceFeatureExtractor
from dovetail.tokenizers import AddedToken as AddedToken
from dovetail.tokenizers import BatchEncoding as BatchEncoding
from dovetail.tokenizers import CharSpan as CharSpan
from dovetail.tokenizers import PreTrainedTokenizer as PreTrainedTokenizer
from dovetail.tokenizers import PreTrainedTokenizerBase as PreTrainedTokenizerBase
from dovetail.tokenizers import PreTrainedTokenizerFast as PreTrainedTokenizerFast
from dovetail.tokenizers import SpecialTokensMixin as SpecialTokensMixin
from dovetail.tokenizers import TensorType as TensorType
from dovetail.tokenizers import TokenSpan as TokenSpan
from dovetail.tokenizers import TokenizersBackend as TokenizersBackend
from dovetail.tokenizers.convert import SLOW_TO_FAST_CONVERTERS as SLOW_TO_FAST_CONVERTERS
from dovetail.tokenizers.convert import convert_slow_tokenizer as convert_slow_tokenizer
from dovetail.weight_files import WEIGHTS_NAME as WEIGHTS_NAME

# dovetail-models-text

from dovetail_models_text.bart.configuration import BartConfig as BartConfig
from dovetail_models_text.bart.modeling import BartForCausalLM as BartForCausalLM
from dovetail_models_text.bart.modeling import BartForConditionalGeneration as BartForConditionalGeneration
from dovetail_models_text.bart.modeling import BartForQuestionAnswering as BartForQuestionAnswering
from dovetail_models_text.bart.modeling import BartForSequenceClassification as BartForSequenceClassification
from dovetail_models_text.bart.modeling import BartModel as BartModel
from dovetail_models_text.bart.modeling import BartPreTrainedModel as BartPreTrainedModel
from dovetail_models_text.bart.modeling import BartPreTrainedModel as BartPretrainedModel
from dovetail_models_text.bart.modeling import BartPreTrainedModel as PretrainedBartModel
from dovetail_models_text.bart.tokenization import BartTokenizer as BartTokenizer
from dovetail_models_text.bart.tokenization import BartTokenizer as BartTokenizerFast
from dovetail_models_text.bert.configuration import BertConfig as BertConfig
from dovetail_models_text.bert.modeling import BertForMaskedLM as BertForMaskedLM
from dovetail_models_text.bert.modeling import BertForMultipleChoice as BertForMultipleChoice
from dovetail_models_text.bert.modeling import BertForNextSentencePrediction as BertForNextSentencePrediction
from dovetail_models_text.bert.modeling import BertForPreTraining as BertForPreTraining
from dovetail_models_text.bert.modeling import BertForQuestionAnswering as BertForQuestionAnswering
from dovetail_models_text.bert.modeling import BertForSequenceClassification as BertForSequenceClassification
from dovetail_models_text.bert.modeling import BertForTokenClassification as BertForTokenClassification
from dovetail_models_text.bert.modeling import BertLMHeadModel as BertLMHeadModel
from dovetail_models_text.bert.modeling import BertLayer as BertLayer
from dovetail_models_text.bert.modeling import BertModel as BertModel
from dovetail_models_text.bert.modeling import BertPreTrainedModel as BertPreTrainedModel
from dovetail_models_text.bert.tokenization import BasicTokenizer as BasicTokenizer
from dovetail_models_text.bert.tokenization import BertTokenizer as BertTokenizer
from dovetail_models_text.bert.tokenization import BertTokenizer as BertTokenizerFast
from dovetail_models_text.bert.tokenization import WordpieceTokenizer as WordpieceTokenizer
from dovetail_models_text.bloom.configuration import BloomConfig as BloomConfig
from dovetail_models_text.bloom.modeling import BloomForCausalLM as BloomForCausalLM
from dovetail_models_text.bloom.modeling import BloomForQuestionAnswering as BloomForQuestionAnswering
from dovetail_models_text.bloom.modeling import BloomForSequenceClassification as BloomForSequenceClassification
from dovetail_models_text.bloom.modeling import BloomForTokenClassification as BloomForTokenClassification
from dovetail_models_text.bloom.modeling import BloomModel as BloomModel
from dovetail_models_text.bloom.modeling import BloomPreTrainedModel as BloomPreTrainedModel
from dovetail_models_text.bloom.tokenization import BloomTokenizerFast as BloomTokenizerFast
from dovetail_models_text.cohere.configuration import CohereConfig as CohereConfig
from dovetail_models_text.cohere.modeling import CohereForCausalLM as CohereForCausalLM
from dovetail_models_text.cohere.modeling import CohereModel as CohereModel
from dovetail_models_text.cohere.modeling import CoherePreTrainedModel as CoherePreTrainedModel
from dovetail_models_text.cohere.tokenization import CohereTokenizerFast as CohereTokenizerFast
from dovetail_models_text.gemma.configuration import GemmaConfig as GemmaConfig
from dovetail_models_text.gemma.modeling import GemmaForCausalLM as GemmaForCausalLM
from dovetail_models_text.gemma.modeling import GemmaForSequenceClassification as GemmaForSequenceClassification
from dovetail_models_text.gemma.modeling import GemmaForTokenClassification as GemmaForTokenClassification
from dovetail_models_text.gemma.modeling import GemmaModel as GemmaModel
from dovetail_models_text.gemma.modeling import GemmaPreTrainedModel as GemmaPreTrainedModel
from dovetail_models_text.gemma.tokenization import GemmaTokenizer as GemmaTokenizer
from dovetail_models_text.gemma.tokenization import GemmaTokenizer as GemmaTokenizerFast
from dovetail_models_text.gemma2.configuration import Gemma2Config as Gemma2Config
from dovetail_models_text.gemma2.modeling import Gemma2ForCausalLM as Gemma2ForCausalLM
from dovetail_models_text.gemma2.modeling import Gemma2ForSequenceClassification as Gemma2ForSequenceClassification
from dovetail_models_text.gemma2.modeling import Gemma2ForTokenClassification as Gemma2ForTokenClassification
from dovetail_models_text.gemma2.modeling import Gemma2Model as Gemma2Model
from dovetail_models_text.gemma2.modeling import Gemma2PreTrainedModel as Gemma2PreTrainedModel
from dovetail_models_text.gpt2.configuration import GPT2Config as GPT2Config
from dovetail_models_text.gpt2.modeling import GPT2DoubleHeadsModel as GPT2DoubleHeadsModel
from dovetail_models_text.gpt2.modeling import GPT2ForQuestionAnswering as GPT2ForQuestionAnswering
from dovetail_models_text.gpt2.modeling import GPT2ForSequenceClassification as GPT2ForSequenceClassification
from dovetail_models_text.gpt2.modeling import GPT2ForTokenClassification as GPT2ForTokenClassification
from dovetail_models_text.gpt2.modeling import GPT2LMHeadModel as GPT2LMHeadModel
from dovetail_models_text.gpt2.modeling import GPT2Model as GPT2Model
from dovetail_models_text.gpt2.modeling import GPT2PreTrainedModel as GPT2PreTrainedModel
from dovetail_models_text.gpt2.tokenization import GPT2Tokenizer as GPT2Tokenizer
from dovetail_models_text.gpt2.tokenization import GPT2Tokenizer as GPT2TokenizerFast
from dovetail_models_text.gpt_neo.configuration import GPTNeoConfig as GPTNeoConfig
from dovetail_models_text.gpt_neo.modeling import GPTNeoForCausalLM as GPTNeoForCausalLM
from dovetail_models_text.gpt_neo.modeling import GPTNeoForQuestionAnswering as GPTNeoForQuestionAnswering
from dovetail_models_text.gpt_neo.modeling import GPTNeoForSequenceClassification as GPTNeoForSequenceClassification
from dovetail_models_text.gpt_neo.modeling import GPTNeoForTokenClassification as GPTNeoForTokenClassification
from dovetail_models_text.gpt_neo.modeling import GPTNeoModel as GPTNeoModel
from dovetail_models_text.gpt_neo.modeling import GPTNeoPreTrainedModel as GPTNeoPreTrainedModel
from dovetail_models_text.gpt_neox.configuration import GPTNeoXConfig as GPTNeoXConfig
from dovetail_models_text.gpt_neox.modeling import GPTNeoXForCausalLM as GPTNeoXForCausalLM
from dovetail_models_text.gpt_neox.modeling import GPTNeoXForQuestionAnswering as GPTNeoXForQuestionAnswering
from dovetail_models_text.gpt_neox.modeling import GPTNeoXForSequenceClassification as GPTNeoXForSequenceClassification
from dovetail_models_text.gpt_neox.modeling import GPTNeoXForTokenClassification as GPTNeoXForTokenClassification
from dovetail_models_text.gpt_neox.modeling import GPTNeoXModel as GPTNeoXModel
from dovetail_models_text.gpt_neox.modeling import GPTNeoXPreTrainedModel as GPTNeoXPreTrainedModel
from dovetail_models_text.gpt_neox.tokenization import GPTNeoXTokenizerFast as GPTNeoXTokenizerFast
from dovetail_models_text.gptj.configuration import GPTJConfig as GPTJConfig
from dovetail_models_text.gptj.modeling import GPTJForCausalLM as GPTJForCausalLM
from dovetail_models_text.gptj.modeling import GPTJForQuestionAnswering as GPTJForQuestionAnswering
from dovetail_models_text.gptj.modeling import GPTJForSequenceClassification as GPTJForSequenceClassification
from dovetail_models_text.gptj.modeling import GPTJModel as GPTJModel
from dovetail_models_text.gptj.modeling import GPTJPreTrainedModel as GPTJPreTrainedModel
from dovetail_models_text.llama.configuration import LlamaConfig as LlamaConfig
from dovetail_models_text.llama.modeling import LlamaForCausalLM as LlamaForCausalLM
from dovetail_models_text.llama.modeling import LlamaForQuestionAnswering as LlamaForQuestionAnswering
from dovetail_models_text.llama.modeling import LlamaForSequenceClassification as LlamaForSequenceClassification
from dovetail_models_text.llama.modeling import LlamaForTokenClassification as LlamaForTokenClassification
from dovetail_models_text.llama.modeling import LlamaModel as LlamaModel
from dovetail_models_text.llama.modeling import LlamaPreTrainedModel as LlamaPreTrainedModel
from dovetail_models_text.llama.tokenization import LlamaTokenizer as LlamaTokenizer
from dovetail_models_text.llama.tokenization import LlamaTokenizer as LlamaTokenizerFast
from dovetail_models_text.m2m_100.configuration import M2M100Config as M2M100Config
from dovetail_models_text.m2m_100.modeling import M2M100ForConditionalGeneration as M2M100ForConditionalGeneration
from dovetail_models_text.m2m_100.modeling import M2M100Model as M2M100Model
from dovetail_models_text.m2m_100.modeling import M2M100PreTrainedModel as M2M100PreTrainedModel
from dovetail_models_text.m2m_100.tokenization import M2M100Tokenizer as M2M100Tokenizer
from dovetail_models_text.m2m_100.tokenization import M2M100Tokenizer as M2M100TokenizerFast
from dovetail_models_text.marian.configuration import MarianConfig as MarianConfig
from dovetail_models_text.marian.modeling import MarianForCausalLM as MarianForCausalLM
from dovetail_models_text.marian.modeling import MarianMTModel as MarianMTModel
from dovetail_models_text.marian.modeling import MarianModel as MarianModel
from dovetail_models_text.marian.modeling import MarianPreTrainedModel as MarianPreTrainedModel
from dovetail_models_text.marian.tokenization import MarianTokenizer as MarianTokenizer
from dovetail_models_text.marian.tokenization import MarianTokenizer as MarianTokenizerFast
from dovetail_models_text.mbart.configuration import MBartConfig as MBartConfig
from dovetail_models_text.mbart.modeling import MBartForCausalLM as MBartForCausalLM
from dovetail_models_text.mbart.modeling import MBartForConditionalGeneration as MBartForConditionalGeneration
from dovetail_models_text.mbart.modeling import MBartForQuestionAnswering as MBartForQuestionAnswering
from dovetail_models_text.mbart.modeling import MBartForSequenceClassification as MBartForSequenceClassification
from dovetail_models_text.mbart.modeling import MBartModel as MBartModel
from dovetail_models_text.mbart.modeling import MBartPreTrainedModel as MBartPreTrainedModel
from dovetail_models_text.mbart.tokenization import MBartTokenizer as MBartTokenizer
from dovetail_models_text.mbart.tokenization import MBartTokenizer as MBartTokenizerFast
from dovetail_models_text.mistral.configuration import MistralConfig as MistralConfig
from dovetail_models_text.mistral.modeling import MistralForCausalLM as MistralForCausalLM
from dovetail_models_text.mistral.modeling import MistralForSequenceClassification as MistralForSequenceClassification
from dovetail_models_text.mistral.modeling import MistralForTokenClassification as MistralForTokenClassification
from dovetail_models_text.mistral.modeling import MistralModel as MistralModel
from dovetail_models_text.mistral.modeling import MistralPreTrainedModel as MistralPreTrainedModel
from dovetail_models_text.mixtral.configuration import MixtralConfig as MixtralConfig
from dovetail_models_text.mixtral.modeling import MixtralForCausalLM as MixtralForCausalLM
from dovetail_models_text.mixtral.modeling import MixtralForSequenceClassification as MixtralForSequenceClassification
from dovetail_models_text.mixtral.modeling import MixtralForTokenClassification as MixtralForTokenClassification
from dovetail_models_text.mixtral.modeling import MixtralModel as MixtralModel
from dovetail_models_text.mixtral.modeling import MixtralPreTrainedModel as MixtralPreTrainedModel
from dovetail_models_text.opt.configuration import OPTConfig as OPTConfig
from dovetail_models_text.opt.modeling import OPTForCausalLM as OPTForCausalLM
from dovetail_models_text.opt.modeling import OPTForQuestionAnswering as OPTForQuestionAnswering
from dovetail_models_text.opt.modeling import OPTForSequenceClassification as OPTForSequenceClassification
from dovetail_models_text.opt.modeling import OPTModel as OPTModel
from dovetail_models_text.opt.modeling import OPTPreTrainedModel as OPTPreTrainedModel
from dovetail_models_text.pegasus.configuration import PegasusConfig as PegasusConfig
from dovetail_models_text.pegasus.modeling import PegasusForCausalLM as PegasusForCausalLM
from dovetail_models_text.pegasus.modeling import PegasusForConditionalGeneration as PegasusForConditionalGeneration
from dovetail_models_text.pegasus.modeling import PegasusModel as PegasusModel
from dovetail_models_text.pegasus.modeling import PegasusPreTrainedModel as PegasusPreTrainedModel
from dovetail_models_text.pegasus.tokenization import PegasusTokenizer as PegasusTokenizer
from dovetail_models_text.pegasus.tokenization import PegasusTokenizer as PegasusTokenizerFast
from dovetail_models_text.phi3.configuration import Phi3Config as Phi3Config
from dovetail_models_text.phi3.modeling import Phi3ForCausalLM as Phi3ForCausalLM
from dovetail_models_text.phi3.modeling import Phi3ForSequenceClassification as Phi3ForSequenceClassification
from dovetail_models_text.phi3.modeling import Phi3ForTokenClassification as Phi3ForTokenClassification
from dovetail_models_text.phi3.modeling import Phi3Model as Phi3Model
from dovetail_models_text.phi3.modeling import Phi3PreTrainedModel as Phi3PreTrainedModel
from dovetail_models_text.pipelines.feature_extraction import FeatureExtractionPipeline as FeatureExtractionPipeline
from dovetail_models_text.pipelines.fill_mask import FillMaskPipeline as FillMaskPipeline
from dovetail_models_text.pipelines.question_answering import QuestionAnsweringPipeline as QuestionAnsweringPipeline
from dovetail_models_text.pipelines.squad import SquadExample as SquadExample
from dovetail_models_text.pipelines.text2text_generation import SummarizationPipeline as SummarizationPipeline
from dovetail_models_text.pipelines.text2text_generation import Text2TextGenerationPipeline as Text2TextGenerationPipeline
from dovetail_models_text.pipelines.text2text_generation import TranslationPipeline as TranslationPipeline
from dovetail_models_text.pipelines.text_classification import TextClassificationPipeline as TextClassificationPipeline
from dovetail_models_text.pipelines.text_generation import TextGenerationPipeline as TextGenerationPipeline
from dovetail_models_text.pipelines.token_classification import NerPipeline as NerPipeline
from dovetail_models_text.pipelines.token_classification import TokenClassificationPipeline as TokenClassificationPipeline
from dovetail_models_text.pipelines.zero_shot_classification import ZeroShotClassificationPipeline as ZeroShotClassificationPipeline
from dovetail_models_text.qwen2.configuration import Qwen2Config as Qwen2Config
from dovetail_models_text.qwen2.modeling import Qwen2ForCausalLM as Qwen2ForCausalLM
from dovetail_models_text.qwen2.modeling import Qwen2ForSequenceClassification as Qwen2ForSequenceClassification
from dovetail_models_text.qwen2.modeling import Qwen2ForTokenClassification as Qwen2ForTokenClassification
from dovetail_models_text.qwen2.modeling import Qwen2Model as Qwen2Model
from dovetail_models_text.qwen2.modeling import Qwen2PreTrainedModel as Qwen2PreTrainedModel
from dovetail_models_text.qwen2.tokenization import Qwen2Tokenizer as Qwen2Tokenizer
from dovetail_models_text.qwen2.tokenization import Qwen2Tokenizer as Qwen2TokenizerFast
from dovetail_models_text.qwen2_moe.configuration import Qwen2MoeConfig as Qwen2MoeConfig
from dovetail_models_text.qwen2_moe.modeling import Qwen2MoeForCausalLM as Qwen2MoeForCausalLM
from dovetail_models_text.qwen2_moe.modeling import Qwen2MoeForSequenceClassification as Qwen2MoeForSequenceClassification
from dovetail_models_text.qwen2_moe.modeling import Qwen2MoeForTokenClassification as Qwen2MoeForTokenClassification
from dovetail_models_text.qwen2_moe.modeling import Qwen2MoeModel as Qwen2MoeModel
from dovetail_models_text.qwen2_moe.modeling import Qwen2MoePreTrainedModel as Qwen2MoePreTrainedModel
from dovetail_models_text.stablelm.configuration import StableLmConfig as StableLmConfig
from dovetail_models_text.stablelm.modeling import StableLmForCausalLM as StableLmForCausalLM
from dovetail_models_text.stablelm.modeling import StableLmForSequenceClassification as StableLmForSequenceClassification
from dovetail_models_text.stablelm.modeling import StableLmForTokenClassification as StableLmForTokenClassification
from dovetail_models_text.stablelm.modeling import StableLmModel as StableLmModel
from dovetail_models_text.stablelm.modeling import StableLmPreTrainedModel as StableLmPreTrainedModel
from dovetail_models_text.starcoder2.configuration import Starcoder2Config as Starcoder2Config
from dovetail_models_text.starcoder2.modeling import Starcoder2ForCausalLM as Starcoder2ForCausalLM
from dovetail_models_text.starcoder2.modeling import Starcoder2ForSequenceClassification as Starcoder2ForSequenceClassification
from dovetail_models_text.starcoder2.modeling import Starcoder2ForTokenClassification as Starcoder2ForTokenClassification
from dovetail_models_text.starcoder2.modeling import Starcoder2Model as Starcoder2Model
from dovetail_models_text.starcoder2.modeling import Starcoder2PreTrainedModel as Starcoder2PreTrainedModel
from dovetail_models_text.t5.configuration import T5Config as T5Config
from dovetail_models_text.t5.modeling import T5EncoderModel as T5EncoderModel
from dovetail_models_text.t5.modeling import T5ForConditionalGeneration as T5ForConditionalGeneration
from dovetail_models_text.t5.modeling import T5ForQuestionAnswering as T5ForQuestionAnswering
from dovetail_models_text.t5.modeling import T5ForSequenceClassification as T5ForSequenceClassification
from dovetail_models_text.t5.modeling import T5ForTokenClassification as T5ForTokenClassification
from dovetail_models_text.t5.modeling import T5Model as T5Model
from dovetail_models_text.t5.modeling import T5PreTrainedModel as T5PreTrainedModel
from dovetail_models_text.t5.tokenization import T5Tokenizer as T5Tokenizer
from dovetail_models_text.t5.tokenization import T5Tokenizer as T5TokenizerFast

__all__ = [
    "AddedToken",
    "AsyncTextIteratorStreamer",
    "AttentionDeclaration",
    "AutoBackbone",
    "AutoConfig",
    "AutoFeatureExtractor",
    "AutoImageProcessor",
    "AutoModel",
    "AutoModelForAudioClassification",
    "AutoModelForAudioFrameClassification",
    "AutoModelForAudioXVector",
    "AutoModelForCTC",
    "AutoModelForCausalLM",
    "AutoModelForDepthEstimation",
    "AutoModelForDocumentQuestionAnswering",
    "AutoModelForImageClassification",
    "AutoModelForImageSegmentation",
    "AutoModelForImageTextToText",
    "AutoModelForImageToImage",
    "AutoModelForInstanceSegmentation",
    "AutoModelForKeypointDetection",
    "AutoModelForMaskGeneration",
    "AutoModelForMaskedImageModeling",
    "AutoModelForMaskedLM",
    "AutoModelForMultipleChoice",
    "AutoModelForNextSentencePrediction",
    "AutoModelForObjectDetection",
    "AutoModelForPreTraining",
    "AutoModelForQuestionAnswering",
    "AutoModelForSemanticSegmentation",
    "AutoModelForSeq2SeqLM",
    "AutoModelForSequenceClassification",
    "AutoModelForSpeechSeq2Seq",
    "AutoModelForTableQuestionAnswering",
    "AutoModelForTextEncoding",
    "AutoModelForTextToSpectrogram",
    "AutoModelForTextToWaveform",
    "AutoModelForTokenClassification",
    "AutoModelForUniversalSegmentation",
    "AutoModelForVideoClassification",
    "AutoModelForVision2Seq",
    "AutoModelForVisualQuestionAnswering",
    "AutoModelForZeroShotImageClassification",
    "AutoModelForZeroShotObjectDetection",
    "AutoModelWithLMHead",
    "AutoProcessor",
    "AutoTokenizer",
    "BaseImageProcessor",
    "BaseStreamer",
    "BatchEncoding",
    "BatchFeature",
    "BeamScorer",
    "BeamSearchScorer",
    "CONFIG_MAPPING",
    "CONFIG_NAME",
    "Cache",
    "CallbackDeclaration",
    "CharSpan",
    "ClassifierFreeGuidanceLogitsProcessor",
    "CommandDeclaration",
    "Conv1D",
    "ConverterDeclaration",
    "CsvPipelineDataFormat",
    "DynamicCache",
    "EncoderDecoderCache",
    "EncoderNoRepeatNGramLogitsProcessor",
    "EncoderRepetitionPenaltyLogitsProcessor",
    "EngineDeclaration",
    "EosTokenCriteria",
    "EpsilonLogitsWarper",
    "EtaLogitsWarper",
    "ExponentialDecayLengthPenalty",
    "FEATURE_EXTRACTOR_MAPPING",
    "FeatureExtractionMixin",
    "ForcedBOSTokenLogitsProcessor",
    "ForcedEOSTokenLogitsProcessor",
    "GenerationConfig",
    "GenerationMixin",
    "HammingDiversityLogitsProcessor",
    "HybridCache",
    "IMAGE_PROCESSOR_MAPPING",
    "ImageProcessingMixin",
    "InfNanRemoveLogitsProcessor",
    "JsonPipelineDataFormat",
    "LogitNormalization",
    "LogitsProcessor",
    "LogitsProcessorList",
    "LogitsWarper",
    "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING",
    "MODEL_FOR_AUDIO_FRAME_CLASSIFICATION_MAPPING",
    "MODEL_FOR_AUDIO_XVECTOR_MAPPING",
    "MODEL_FOR_BACKBONE_MAPPING",
    "MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING",
    "MODEL_FOR_CAUSAL_LM_MAPPING",
    "MODEL_FOR_CTC_MAPPING",
    "MODEL_FOR_DEPTH_ESTIMATION_MAPPING",
    "MODEL_FOR_DOCUMENT_QUESTION_ANSWERING_MAPPING",
    "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING",
    "MODEL_FOR_IMAGE_MAPPING",
    "MODEL_FOR_IMAGE_SEGMENTATION_MAPPING",
    "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING",
    "MODEL_FOR_IMAGE_TO_IMAGE_MAPPING",
    "MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING",
    "MODEL_FOR_KEYPOINT_DETECTION_MAPPING",
    "MODEL_FOR_MASKED_IMAGE_MODELING_MAPPING",
    "MODEL_FOR_MASKED_LM_MAPPING",
    "MODEL_FOR_MASK_GENERATION_MAPPING",
    "MODEL_FOR_MULTIPLE_CHOICE_MAPPING",
    "MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING",
    "MODEL_FOR_OBJECT_DETECTION_MAPPING",
    "MODEL_FOR_PRETRAINING_MAPPING",
    "MODEL_FOR_QUESTION_ANSWERING_MAPPING",
    "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING",
    "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
    "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING",
    "MODEL_FOR_TABLE_QUESTION_ANSWERING_MAPPING",
    "MODEL_FOR_TEXT_ENCODING_MAPPING",
    "MODEL_FOR_TEXT_TO_SPECTROGRAM_MAPPING",
    "MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING",
    "MODEL_FOR_TIME_SERIES_CLASSIFICATION_MAPPING",
    "MODEL_FOR_TIME_SERIES_REGRESSION_MAPPING",
    "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING",
    "MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING",
    "MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING",
    "MODEL_FOR_VISION_2_SEQ_MAPPING",
    "MODEL_FOR_VISUAL_QUESTION_ANSWERING_MAPPING",
    "MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING",
    "MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING",
    "MODEL_MAPPING",
    "MODEL_NAMES_MAPPING",
    "MODEL_WITH_LM_HEAD_MAPPING",
    "MaxLengthCriteria",
    "MaxTimeCriteria",
    "MinLengthLogitsProcessor",
    "MinNewTokensLengthLogitsProcessor",
    "MinPLogitsWarper",
    "ModelDeclaration",
    "NamesDeclaration",
    "NoBadWordsLogitsProcessor",
    "NoRepeatNGramLogitsProcessor",
    "PROCESSOR_MAPPING",
    "PipedPipelineDataFormat",
    "Pipeline",
    "PipelineDataFormat",
    "PipelineDeclaration",
    "PreTrainedModel",
    "PreTrainedTokenizer",
    "PreTrainedTokenizerBase",
    "PreTrainedTokenizerFast",
    "PrefixConstrainedLogitsProcessor",
    "PretrainedConfig",
    "ProcessorMixin",
    "PushToHubMixin",
    "QuantizerDeclaration",
    "RepetitionPenaltyLogitsProcessor",
    "SLOW_TO_FAST_CONVERTERS",
    "SequenceBiasLogitsProcessor",
    "SequenceFeatureExtractor",
    "SlidingWindowCache",
    "SpecialTokensMixin",
    "StaticCache",
    "StopStringCriteria",
    "StoppingCriteria",
    "StoppingCriteriaList",
    "StrategyDeclaration",
    "SuppressTokensAtBeginLogitsProcessor",
    "SuppressTokensLogitsProcessor",
    "TOKENIZER_MAPPING",
    "TemperatureLogitsWarper",
    "TensorType",
    "TextIteratorStreamer",
    "TextStreamer",
    "TokenSpan",
    "TokenizersBackend",
    "ToolDeclaration",
    "TopKLogitsWarper",
    "TopPLogitsWarper",
    "TypicalLogitsWarper",
    "UnbatchedClassifierFreeGuidanceLogitsProcessor",
    "WEIGHTS_NAME",
    "convert_slow_tokenizer",
    "family",
    "hookimpl",
    "is_apex_available",
    "is_av_available",
    "is_bitsandbytes_available",
    "is_datasets_available",
    "is_decord_available",
    "is_faiss_available",
    "is_flax_available",
    "is_keras_nlp_available",
    "is_phonemizer_available",
    "is_psutil_available",
    "is_py3nvml_available",
    "is_pyctcdecode_available",
    "is_sacremoses_available",
    "is_safetensors_available",
    "is_scipy_available",
    "is_sentencepiece_available",
    "is_sklearn_available",
    "is_speech_available",
    "is_tensorflow_text_available",
    "is_tf_available",
    "is_timm_available",
    "is_tokenizers_available",
    "is_torch_available",
    "is_torch_mlu_available",
    "is_torch_musa_available",
    "is_torch_neuroncore_available",
    "is_torch_npu_available",
    "is_torch_tpu_available",
    "is_torch_xla_available",
    "is_torch_xpu_available",
    "is_torchvision_available",
    "is_vision_available",
    "pipeline",
]
