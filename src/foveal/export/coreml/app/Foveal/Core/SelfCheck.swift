import Foundation

/// Validation pictures that came with the application, and what foveal answered to them.
struct SelfCheck: Decodable, Sendable {
    struct Expected: Decodable, Sendable {
        /// Name of the picture's file.
        let file: String
        let text: String
        let confidence: Double
        /// SHA-256 of the model input, as hexadecimal digits.
        let input: String
    }

    /// How far a confidence may be off: Apple's processors round otherwise.
    let tolerance: Double
    let pictures: [Expected]

    static func read(_ json: Data) throws -> SelfCheck {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(SelfCheck.self, from: json)
    }
}

/// How one of these pictures was answered here.
struct CheckResult: Sendable, Identifiable {
    let expected: SelfCheck.Expected
    let text: String
    let confidence: Double
    let hasSameInput: Bool
    let tolerance: Double

    var id: String { expected.file }

    /// Whether the answer is the same; equal inputs are shown, but not needed for it.
    var hasPassed: Bool {
        text == expected.text && abs(confidence - expected.confidence) <= tolerance
    }
}
