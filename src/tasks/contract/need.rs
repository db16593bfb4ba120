//! What a checkpoint must be for what is asked of it: the advice when it is something else speaks of that, and of no
//! other task.

use crate::nn::NnError;
use crate::nn::bert::HeadKind;
use crate::nn::decoder::config::Family;

/// What a checkpoint must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// An encoder with what stands on it.
    Encoder(HeadKind),
    /// A language model.
    Language,
    /// An encoder-decoder that translates.
    Translator,
    /// One that is told in words what to do.
    Summarizer,
    /// Any that runs here.
    Any,
}

impl Need {
    /// What to do about a checkpoint in which `source` is wrong.
    pub fn advice(self, source: &NnError) -> String {
        let kind = self.kind();
        match source {
            NnError::Dtype { .. } => "Choose a copy of the model in F32, F16 or BF16.".into(),
            NnError::Shape { .. } => {
                "Its configuration and its weights do not belong together: fetch both again, from one place.".into()
            }
            NnError::Cut => "Put the stick back in, or wait until the file has come whole; then try again.".into(),
            NnError::MissingTensor(_) => format!("{kind} If it is one, its weights are incomplete: fetch them again."),
            _ => kind,
        }
    }

    fn kind(self) -> String {
        let encoder = |head: &str| format!("Choose a folder of BERT, DistilBERT or RoBERTa with a head for {head}.");
        match self {
            Self::Encoder(HeadKind::Classify) => encoder("whole texts (sequence classification)"),
            Self::Encoder(HeadKind::Tokens) => encoder("words (token classification)"),
            Self::Encoder(HeadKind::Spans) => encoder("answers in a text (question answering)"),
            Self::Encoder(HeadKind::Mean | HeadKind::First | HeadKind::States) => {
                "Choose a folder of BERT, DistilBERT or RoBERTa, best one made for sentences (sentence-transformers)."
                    .into()
            }
            Self::Language => {
                let known = Family::GGUF.map(|family| family.0).join(", ");
                format!("Choose a GGUF file of one of these architectures: {known}; or a GPT-2 folder.")
            }
            Self::Translator => "Choose a folder of Marian (opus-mt) or T5.".into(),
            Self::Summarizer => "Choose a folder of T5, such as t5-small or flan-t5-small.".into(),
            Self::Any => {
                "Choose one of the models that 'glossa models list --all' shows, or another of their kinds.".into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of one task each, and which need may speak them.
    #[test]
    fn advice_speaks_of_no_other_task() {
        let needs = [
            (Need::Encoder(HeadKind::Classify), "sequence classification"),
            (Need::Encoder(HeadKind::Tokens), "token classification"),
            (Need::Encoder(HeadKind::Spans), "question answering"),
            (Need::Encoder(HeadKind::Mean), "sentence-transformers"),
            (Need::Language, "GGUF"),
            (Need::Translator, "Marian"),
            (Need::Summarizer, "flan-t5"),
        ];
        let sources =
            [NnError::MissingTensor("x".into()), NnError::Config("x".into()), NnError::Config("another kind".into())];
        for source in &sources {
            for (need, own) in &needs {
                let advice = need.advice(source);
                for (other, word) in &needs {
                    assert_eq!(advice.contains(word), other == need, "{need:?}: {advice}");
                }
                assert!(advice.contains(own));
            }
        }
    }
}
